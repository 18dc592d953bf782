"""Private storage of films: uploaded files, byte for byte, under their SHA-256."""

import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages

from xraysite.common import private_files
from xraysite.common.atomic_write import write_atomically, write_beside

CONFIRMED_MODE = 0o400


class AtomicFileStorage(FileSystemStorage):
    """File system storage in which every name holds a complete file or nothing.

    Content is written to a temporary file in the target folder, synced to disk and renamed, so a
    full disk or a killed worker leaves no partial film. An existing name is replaced: names are
    content hashes, so this repairs a damaged file and changes no other. Files have mode 0600,
    folders 0700.
    """

    def __init__(self, location: str | Path | None = None) -> None:
        super().__init__(
            location=location, file_permissions_mode=0o600, directory_permissions_mode=0o700
        )

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def stage(self, name: str, content: bytes) -> tuple[Path, Path]:
        """Write a file completely, synced to disk, without giving it its name yet.

        Returns:
            The temporary file, and the path to rename it to.
        """
        target = Path(self.path(name))
        private_files.make_folder(target.parent)
        return write_beside(target, content), target

    def _save(self, name: str, content: File) -> str:
        target = Path(self.path(name))
        private_files.make_folder(target.parent)
        write_atomically(target, content.chunks())
        return name


def original_name(sha256: str) -> str:
    """Return the storage name of an uploaded film."""
    return f"original/{sha256[:2]}/{sha256}"


def rendering_name(sha256: str, max_side: int) -> str:
    """Return the storage name of a rendering whose longest side has `max_side` pixels."""
    return f"rendering/{sha256[:2]}/{sha256}-{max_side}.jpg"


def sha256_of(filename: str) -> str:
    """Return the film's hash from the name of a stored file.

    A temporary file has no hash; `is_sha256` is False for what is returned then.
    """
    return filename.partition("-")[0]


def is_sha256(text: str) -> bool:
    """Return whether `text` is a hexadecimal SHA-256."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def keep(name: str, content: bytes) -> None:
    """Store `content`.

    An existing file is written again: it may be damaged, and the time must not tell whether
    somebody else has stored the same film.

    Raises:
        OSError: the storage is full or cannot be written; an existing file is unchanged.
    """
    storages["films"].save(name, ContentFile(content))


@contextmanager
def staged(files: Mapping[str, bytes]) -> Iterator[Callable[[], None]]:
    """Write files, so that nothing is left to do but to give them their names.

    For a transaction that must not wait for the disk, because others wait for it.

    Args:
        files: contents by storage name.

    Yields:
        A function that stores the files under their names, replacing existing ones. Files that
        have not got theirs when the block ends are removed.

    Raises:
        OSError: the storage is full or cannot be written.
    """
    storage = cast("AtomicFileStorage", storages["films"])
    waiting: list[tuple[Path, Path]] = []

    def place() -> None:
        while waiting:
            temporary, target = waiting[0]
            temporary.replace(target)
            waiting.pop(0)

    try:
        for name, content in files.items():
            waiting.append(storage.stage(name, content))
        yield place
    finally:
        for temporary, _target in waiting:
            temporary.unlink(missing_ok=True)


def confirm(sha256: str) -> None:
    """Mark a stored film whose reading is committed, by making the file read-only (0400).

    `diagnosis.sweeping` tells by the mark whether a film without a reading was left by a failed
    upload, or its reading has been lost from the database.
    """
    path = Path(storages["films"].path(original_name(sha256)))
    path.chmod(CONFIRMED_MODE)


def is_confirmed(path: Path) -> bool:
    """Return whether the reading of a stored film has been committed."""
    return not path.stat().st_mode & stat.S_IWUSR


def pending_name(doctor_id: int, submission: uuid.UUID) -> str:
    """Return the storage name of an upload that waits for its doctor's decisions."""
    return f"pending/{doctor_id}/{submission}"


def read(name: str) -> bytes | None:
    """Return the content stored under `name`, or None."""
    try:
        with storages["films"].open(name, "rb") as stored:
            return stored.read()
    except FileNotFoundError:
        return None


def remove(names: list[str]) -> None:
    """Delete the files; names that do not exist are skipped."""
    for name in names:
        storages["films"].delete(name)
