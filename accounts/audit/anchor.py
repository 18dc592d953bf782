"""The anchor: a file outside the database that names the newest row known to be in the log.

Someone who controls the database can restore an old copy of the log, or empty it and let it begin
again; the file does not change with it. It only ever moves forward, and only while the log still
contains the row that it names.

The file has two lines, `NUMBER:SEAL` of that row and the time (ISO 8601, UTC) at which it was
written. The first is what `verify_audit --head` takes.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from xraysite.common import private_files
from xraysite.common.atomic_write import write_atomically

SEAL_LENGTH = 64


class AnchorError(Exception):
    """Raised when the anchor cannot be read or written; the message says which file and why."""


@dataclass(frozen=True)
class Anchor:
    """Number and seal of a row, and when the file that names them was written."""

    sequence: int
    seal: str
    written_at: datetime

    def __str__(self) -> str:
        return f"{self.sequence}:{self.seal}"


def path() -> Path | None:
    """Return the file of this installation, or None if `AUDIT_ANCHOR` is empty (tests)."""
    return Path(settings.AUDIT_ANCHOR) if settings.AUDIT_ANCHOR else None


def parse_head(text: str) -> tuple[int, str]:
    """Return number and seal of a head written as `NUMBER:SEAL`.

    Raises:
        ValueError: it is written otherwise.
    """
    number, colon, seal = text.strip().partition(":")
    if not (colon and number.isdecimal() and len(seal) == SEAL_LENGTH):
        raise ValueError(f"A head looks like 1234:0f3a… Received: {text!r}.")
    return int(number), seal


def read() -> Anchor | None:
    """Return the anchor, or None if there is no file.

    Raises:
        AnchorError: the file cannot be read or is damaged.
    """
    file = path()
    if file is None:
        return None
    try:
        head, when = file.read_text().splitlines()[:2]
        return Anchor(*parse_head(head), datetime.fromisoformat(when))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AnchorError(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise AnchorError(f"{file} is damaged: {error}") from error


def write(sequence: int, seal: str) -> None:
    """Replace the file, atomically and synced to disk.

    Raises:
        AnchorError: it cannot be written; the previous file is unchanged.
    """
    file = path()
    if file is None:
        return
    text = f"{sequence}:{seal}\n{timezone.now().isoformat(timespec='seconds')}\n"
    try:
        write_atomically(file, text.encode())
    except OSError as error:
        raise AnchorError(f"{file} cannot be written: {error.strerror}.") from error


@contextmanager
def locked(*, wait: bool) -> Iterator[bool]:
    """Keep other processes of this machine from moving the anchor.

    Yields:
        Whether this process has the lock; always True with `wait`.

    Raises:
        AnchorError: the folder cannot be opened.
    """
    file = path()
    if file is None:
        yield False
        return
    try:
        private_files.make_folder(file.parent)
        folder = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        raise AnchorError(f"{file.parent} cannot be opened: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            has_lock = True
        except BlockingIOError:
            has_lock = False
        yield has_lock
    finally:
        os.close(folder)
