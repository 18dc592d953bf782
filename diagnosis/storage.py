"""Private storage of films: uploaded files, byte for byte, under their SHA-256."""

import stat
import uuid
from pathlib import Path

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages

from xraysite.common import private_files
from xraysite.common.atomic_write import write_atomically

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
