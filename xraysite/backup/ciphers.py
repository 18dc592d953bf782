"""How the files of a backup are written and read: as they are, or encrypted by `age`."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from xraysite.backup.errors import BackupError, DamagedError


class Plain:
    """Files as they are; protect the backup folder by other means."""

    suffix = ""

    @contextmanager
    def writer(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file for writing; it is on disk when the block ends."""
        with path.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def reader(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file for reading."""
        with path.open("rb") as file:
            yield file


class Age:
    """Files encrypted with age (https://age-encryption.org), by the program `age`.

    Names remain the SHA-256 of the plain content, so that unchanged files are recognised.

    Args:
        recipients: public keys to encrypt to; may be empty for reading.
        identity: file with the private key; needed for reading.

    Raises:
        BackupError: the program is not installed.
    """

    suffix = ".age"

    def __init__(self, *, recipients: Sequence[str] = (), identity: Path | None = None) -> None:
        program = shutil.which("age")
        if program is None:
            raise BackupError(
                "Encryption needs the program age, which is not installed. Install it (Debian: apt "
                "install age), or back up without --recipient to an encrypted volume."
            )
        self._program, self._recipients, self._identity = program, list(recipients), identity

    @contextmanager
    def writer(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file for writing; it is encrypted and on disk when the block ends."""
        to = [part for recipient in self._recipients for part in ("--recipient", recipient)]
        command = [self._program, "--encrypt", *to, "--output", str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None  # noqa: S101 - for the type checker
            try:
                yield process.stdin
                process.stdin.close()
            except BrokenPipeError:
                process.wait()
            _require_success(process, "encrypt")
        with path.open("rb") as file:
            os.fsync(file.fileno())

    @contextmanager
    def reader(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file for reading.

        Raises:
            DamagedError: it cannot be decrypted.
            BackupError: there is no private key.
        """
        if self._identity is None:
            raise BackupError("The backup is encrypted. Pass the private key: --identity FILE.")
        command = [self._program, "--decrypt", "--identity", str(self._identity), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            yield process.stdout
            process.stdout.read()
            _require_success(process, "decrypt", DamagedError)


Cipher = Plain | Age


def _require_success(
    process: "subprocess.Popen[bytes]", what: str, error: type[BackupError] = BackupError
) -> None:
    said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    if process.wait() != 0:
        raise error(f"age could not {what}: {said or process.returncode}")
