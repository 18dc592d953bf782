"""Private storage of films: uploaded files, byte for byte, under their SHA-256."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from django.core.files.base import ContentFile
from django.core.files.storage import storages

from diagnosis.film_storage import CONFIRMED_MODE, AtomicFileStorage, FilmStorage, StagedFile

# Named by the settings of earlier versions.
__all__ = ["CONFIRMED_MODE", "AtomicFileStorage"]

BATCHES = "batch"


def films() -> FilmStorage:
    """Return the storage of films."""
    storage: Any = storages["films"]
    return cast(FilmStorage, storage)


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
    films().save(name, ContentFile(content))


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
    waiting: list[StagedFile] = []

    def place() -> None:
        while waiting:
            waiting[0].place()
            waiting.pop(0)

    try:
        for name, content in files.items():
            waiting.append(films().stage(name, content))
        yield place
    finally:
        for file in waiting:
            file.discard()


def confirm(sha256: str) -> None:
    """Mark a stored film whose reading is committed.

    `diagnosis.sweeping` tells by the mark whether a film without a reading was left by a failed
    upload, or its reading has been lost from the database.
    """
    films().confirm(original_name(sha256))


def pending_name(doctor_id: int, submission: uuid.UUID) -> str:
    """Return the storage name of an upload that waits for its doctor's decisions."""
    return f"pending/{doctor_id}/{submission}"


def batch_name(doctor_id: int, item: uuid.UUID) -> str:
    """Return the storage name of a batch's file that has not been read yet."""
    return f"{BATCHES}/{doctor_id}/{item}"


def read(name: str) -> bytes | None:
    """Return the content stored under `name`, or None."""
    try:
        with films().open(name, "rb") as stored:
            return stored.read()
    except FileNotFoundError:
        return None


def remove(names: list[str]) -> None:
    """Delete the files; names that do not exist are skipped."""
    for name in names:
        films().delete(name)
