"""Private storage of films: uploaded files, byte for byte, under their SHA-256."""

import uuid
from pathlib import Path

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages

from xraysite.common import private_files
from xraysite.common.atomic_write import write_atomically


class AtomicFileStorage(FileSystemStorage):
    """File system storage in which every name holds a complete file or nothing.

    Content is written to a temporary file in the target folder, synced to disk and renamed, so a
    full disk or a killed worker leaves no partial film. An existing name is replaced: names are
    content hashes, so the content is the same. Files have mode 0600, folders 0700.
    """

    def __init__(self, location: str | Path | None = None) -> None:
        super().__init__(
            location=location, file_permissions_mode=0o600, directory_permissions_mode=0o700
        )

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

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


def keep(name: str, content: bytes) -> bool:
    """Store `content` and return whether `name` is new.

    An existing file is written again, so that the time does not tell whether somebody else has
    stored the same film.
    """
    storage = storages["films"]
    is_new = not storage.exists(name)
    storage.save(name, ContentFile(content))
    return is_new


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
