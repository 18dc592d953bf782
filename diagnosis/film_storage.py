"""Where films are stored: on a disk, or in a bucket of an object store.

Both keep the same promises. A name holds a complete file or nothing, a stored file is durable when
`save` returns, and a file whose reading is committed is marked.
"""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from django.core.files import File
from django.core.files.storage import FileSystemStorage

from xraysite.common import private_files
from xraysite.common.atomic_write import write_atomically, write_beside

CONFIRMED_MODE = 0o400


@dataclass(frozen=True)
class StoredFile:
    """A file in the film storage.

    Attributes:
        name: its storage name, with `/` between folders.
        size: in bytes.
        written: when it was written last, in seconds since 1970.
        is_confirmed: whether its reading was committed.
    """

    name: str
    size: int
    written: float
    is_confirmed: bool = False

    @property
    def filename(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The part of the name before the last."""
        return self.name.rpartition("/")[0].rpartition("/")[2]


@dataclass(frozen=True)
class StagedFile:
    """A file that is ready to be stored.

    Attributes:
        place: stores it under its name, replacing an existing file.
        discard: removes what was written so far, instead of `place`.
    """

    place: Callable[[], object]
    discard: Callable[[], object]


class FilmStorage(Protocol):
    """What the site needs of a film storage, besides Django's interface."""

    def save(self, name: str, content: File) -> str: ...
    def open(self, name: str, mode: str = "rb") -> File: ...
    def delete(self, name: str) -> None: ...

    def stage(self, name: str, content: bytes) -> StagedFile:
        """Do as much of storing a file as is possible before it has its name.

        Raises:
            OSError: the storage is full or cannot be written.
        """

    def folders(self, folder: str) -> list[str]:
        """Return the storage names of the folders in a folder, sorted."""

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield the files directly in a folder, sorted by name."""

    def find(self, name: str) -> StoredFile | None:
        """Return a file, or None if it does not exist."""

    def move(self, name: str, target: str) -> None:
        """Move a file over another one; there is a complete file at every moment.

        Raises:
            FileNotFoundError: the file does not exist.
        """

    def confirm(self, name: str) -> None:
        """Mark a file whose reading is committed."""

    def remove_empty_folder(self, folder: str) -> None:
        """Remove a folder that no longer has files, if the storage has folders at all."""


class AtomicFileStorage(FileSystemStorage):
    """File system storage in which every name holds a complete file or nothing.

    Content is written to a temporary file in the target folder, synced to disk and renamed, so a
    full disk or a killed worker leaves no partial film. An existing name is replaced: names are
    content hashes, so this repairs a damaged file and changes no other. Files have mode 0600,
    folders 0700; a confirmed file has mode 0400.
    """

    def __init__(self, location: str | Path | None = None) -> None:
        super().__init__(
            location=location, file_permissions_mode=0o600, directory_permissions_mode=0o700
        )

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def stage(self, name: str, content: bytes) -> StagedFile:
        target = Path(self.path(name))
        private_files.make_folder(target.parent)
        temporary = write_beside(target, content)  # synced to disk
        return StagedFile(
            place=partial(temporary.replace, target),
            discard=partial(temporary.unlink, missing_ok=True),
        )

    def _save(self, name: str, content: File) -> str:
        target = Path(self.path(name))
        private_files.make_folder(target.parent)
        write_atomically(target, content.chunks())
        return name

    def folders(self, folder: str) -> list[str]:
        found = Path(self.path(folder)).glob("*")
        return sorted(f"{folder}/{path.name}" for path in found if path.is_dir())

    def files(self, folder: str) -> Iterator[StoredFile]:
        place = Path(self.path(folder))
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            found = self.find(f"{folder}/{path.name}")
            if found is not None:
                yield found

    def find(self, name: str) -> StoredFile | None:
        try:
            facts = Path(self.path(name)).stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(facts.st_mode):
            return None
        is_confirmed = not facts.st_mode & stat.S_IWUSR
        return StoredFile(name, facts.st_size, facts.st_mtime, is_confirmed)

    def move(self, name: str, target: str) -> None:
        place = Path(self.path(target))
        private_files.make_folder(place.parent)
        Path(self.path(name)).replace(place)

    def confirm(self, name: str) -> None:
        Path(self.path(name)).chmod(CONFIRMED_MODE)

    def remove_empty_folder(self, folder: str) -> None:
        place = Path(self.path(folder))
        if not any(place.iterdir()):
            place.rmdir()


def folder_of(storage: Any) -> Path | None:
    """Return the folder of a storage on a disk of this machine; None for an object store."""
    return Path(storage.path("")) if isinstance(storage, FileSystemStorage) else None
