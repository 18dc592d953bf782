"""Where films are kept: private storage, byte for byte as they came, under their SHA-256."""

import os
import tempfile
from pathlib import Path

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages

from xraysite import private_files


class AtomicFileStorage(FileSystemStorage):
    """A file system storage in which a name holds a whole file or nothing.

    Content goes to a temporary file beside the target, reaches the disk, and is then renamed, so
    a full disk or a killed worker leaves no half film. A name that exists is replaced: names are
    hashes of content, so the content is the same.
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
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        try:
            with os.fdopen(descriptor, "wb") as out:
                for chunk in content.chunks():
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return name


def original_name(sha256: str) -> str:
    return f"original/{sha256[:2]}/{sha256}"


def rendering_name(sha256: str, max_side: int) -> str:
    return f"rendering/{sha256[:2]}/{sha256}-{max_side}.jpg"


def sha256_of(filename: str) -> str:
    """Returns the hash of the film that a stored file is of; of a part file, nothing useful."""
    return filename.partition("-")[0]


def is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def keep(name: str, content: bytes) -> bool:
    """Stores `content` unless `name` exists; returns whether it was stored now."""
    storage = storages["films"]
    if storage.exists(name):
        return False
    storage.save(name, ContentFile(content))
    return True


def read(name: str) -> bytes | None:
    """Returns the content under `name`, or None where there is none."""
    try:
        with storages["films"].open(name, "rb") as stored:
            return stored.read()
    except FileNotFoundError:
        return None


def forget(names: list[str]) -> None:
    """Removes the files; one that is not there is no error."""
    for name in names:
        storages["films"].delete(name)
