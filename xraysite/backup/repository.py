"""A folder of backups: every file once, under its SHA-256."""

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from xraysite.backup import manifests
from xraysite.backup.ciphers import Cipher
from xraysite.backup.errors import BackupError, DamagedError
from xraysite.backup.manifests import Manifest
from xraysite.common import private_files
from xraysite.common.atomic_write import write_atomically

CHUNK = 1 << 20
NAME = re.compile(r"(?P<time>\d{8}T\d{6}Z)\.jsonl(?P<age>\.age)?")


class Repository:
    """The backups in a folder.

    Args:
        folder: the folder; `create` makes it.
        cipher: how its files are written and read.
    """

    def __init__(self, folder: Path, cipher: Cipher) -> None:
        self.folder, self.cipher = folder, cipher

    def create(self) -> None:
        """Make the folder, for this user alone."""
        for name in ("objects", "backups"):
            private_files.make_folder(self.folder / name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other backups out of the folder during the block.

        Raises:
            BackupError: another backup is running.
        """
        descriptor = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        with os.fdopen(descriptor, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BackupError(
                    f"Another backup to {self.folder} is running. Wait until it has ended."
                ) from error
            for left in self.folder.rglob(".part-*"):  # of a backup that was killed
                left.unlink()
            yield

    def object_path(self, sha256: str) -> Path:
        """Return the place of an object."""
        return self.folder / "objects" / sha256[:2] / (sha256 + self.cipher.suffix)

    def has(self, sha256: str, size: int) -> bool:
        """Return whether the object exists; its content is not read."""
        path = self.object_path(sha256)
        return path.is_file() and (bool(self.cipher.suffix) or path.stat().st_size == size)

    def store(self, source: Path, *, sha256: str | None = None) -> tuple[str, int, bool]:
        """Copy a file into the folder, unless it is there already.

        Args:
            source: the file.
            sha256: its SHA-256 if that is known; the file is then read only if it is new.

        Returns:
            Its SHA-256, its size in bytes, and whether it was new.

        Raises:
            DamagedError: the file differs from `sha256`.
            OSError: the file cannot be read, or the object cannot be written.
        """
        size = source.stat().st_size
        known = sha256 or _sha256_of(source)
        if self.has(known, size):
            return known, size, False
        target = self.object_path(known)
        private_files.make_folder(target.parent)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        os.close(descriptor)
        part = Path(name)
        try:
            with source.open("rb") as content, self.cipher.writer(part) as file:
                found = _copy(content, file)
            if found != known:
                raise DamagedError(f"{source} differs from its SHA-256 {known}.")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return known, size, True

    def verify(self, sha256: str) -> None:
        """Read an object completely.

        Raises:
            DamagedError: it is missing or damaged.
        """
        self._read(sha256, None)

    def extract(self, sha256: str, target: Path, *, mode: int = 0o600) -> None:
        """Write an object to a file, which it replaces, completely or not at all.

        Raises:
            DamagedError: the object is missing or damaged; the file is unchanged.
        """
        private_files.make_folder(target.parent)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._read(sha256, file)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(mode)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _read(self, sha256: str, target: IO[bytes] | None) -> None:
        path = self.object_path(sha256)
        try:
            with self.cipher.reader(path) as content:
                found = _copy(content, target)
        except FileNotFoundError as error:
            raise DamagedError(f"{path} is missing.") from error
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {error.strerror}.") from error
        if found != sha256:
            raise DamagedError(f"{path} is damaged.")

    def times(self) -> list[str]:
        """Return the times of the backups, oldest first, such as 20261128T031500Z."""
        found = (NAME.fullmatch(path.name) for path in (self.folder / "backups").glob("*"))
        return sorted(
            match["time"] for match in found if match and (match["age"] or "") == self.cipher.suffix
        )

    def manifest_path(self, time: str) -> Path:
        return self.folder / "backups" / f"{time}.jsonl{self.cipher.suffix}"

    def write_manifest(self, time: str, manifest: Manifest) -> Path:
        """Write a manifest and its checksum; the backup exists from then on."""
        path = self.manifest_path(time)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        os.close(descriptor)
        part = Path(name)
        try:
            with self.cipher.writer(part) as file:
                file.write(manifest.to_bytes())
            line = manifests.checksum_line(part.read_bytes(), path.name)
            write_atomically(path.with_name(path.name + ".sha256"), line.encode())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def read_manifest(self, time: str, *, any_key: bool = False) -> Manifest:
        """Read a manifest and verify its checksum and its seal.

        Raises:
            BackupError: see `manifests.parse`.
        """
        path = self.manifest_path(time)
        try:
            stored = path.read_bytes()
            line = path.with_name(path.name + ".sha256").read_text()
        except FileNotFoundError as error:
            raise DamagedError(f"{error.filename} is missing. Use another backup.") from error
        if line != manifests.checksum_line(stored, path.name):
            raise DamagedError(f"{path} is damaged. Use another backup.")
        with self.cipher.reader(path) as file:
            content = file.read()
        return manifests.parse(content, any_key=any_key)

    def prune(self, keep: int) -> tuple[int, int]:
        """Delete all but the newest `keep` backups, and the objects that only they had.

        Needs to read the manifests that are kept.

        Returns:
            The numbers of deleted backups and objects.
        """
        times = self.times()
        old, kept = times[:-keep], times[-keep:]
        needed = {sha256 for time in kept for sha256 in self.read_manifest(time).objects}
        for time in old:
            path = self.manifest_path(time)
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".sha256").unlink(missing_ok=True)
        removed = 0
        for path in (self.folder / "objects").glob("*/*"):
            sha256, dot, ending = path.name.partition(".")
            if dot + ending == self.cipher.suffix and sha256 not in needed:
                path.unlink()
                removed += 1
        return len(old), removed


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(content: IO[bytes], target: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
    return digest.hexdigest()
