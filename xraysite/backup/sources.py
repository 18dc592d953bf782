"""The files of a site that a backup contains, by the root that they lie below.

A root is a folder, or a bucket of an object store: then each file is fetched to the scratch folder
before it is stored, and restored from there.
"""

import hashlib
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages

from diagnosis.film_storage import CONFIRMED_MODE, folder_of
from diagnosis.storage import original_name
from xraysite.common import private_files

FILMS, FILES, BUNDLES = "films", "files", "bundles"


class Root(ABC):
    """Files below one root.

    Attributes:
        folder: where they lie on this machine; None in an object store.
    """

    folder: Path | None = None

    @abstractmethod
    def size(self, path: str) -> int:
        """Return the size of a file. Raises `FileNotFoundError`."""

    @abstractmethod
    def fetched(self, path: str) -> Any:
        """Return a context manager with a local copy of a file. Raises `FileNotFoundError`."""

    @abstractmethod
    def put(self, path: str, source: Path) -> None:
        """Replace a file by `source`, which may be moved away."""

    @abstractmethod
    def paths(self) -> Iterator[str]:
        """Yield the paths of all files."""

    def holds(self, path: str, *, sha256: str, size: int) -> bool:
        """Return whether a file has this content."""
        try:
            if self.size(path) != size:
                return False
            with self.fetched(path) as local, local.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            return False


class Folder(Root):
    """A folder of this machine.

    Args:
        folder: the folder.
        mode: the mode of restored files.
    """

    def __init__(self, folder: Path, *, mode: int = 0o600) -> None:
        self.folder, self.mode = folder, mode
        self._folder = folder

    def size(self, path: str) -> int:
        return (self._folder / path).stat().st_size

    @contextmanager
    def fetched(self, path: str) -> Iterator[Path]:
        yield self._folder / path

    def put(self, path: str, source: Path) -> None:
        target = self._folder / path
        private_files.make_folder(target.parent)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        part = Path(name)
        try:
            with source.open("rb") as content, os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(self.mode)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def paths(self) -> Iterator[str]:
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and not path.name.startswith(".part-"):
                yield path.relative_to(self._folder).as_posix()


class Bucket(Root):
    """A storage that is no folder.

    Args:
        storage: the storage.
        is_of_films: whether restored files are films, whose readings are committed.
    """

    def __init__(self, storage: Any, *, is_of_films: bool = False) -> None:
        self.storage, self.is_of_films = storage, is_of_films

    def size(self, path: str) -> int:
        return int(self.storage.size(path))

    @contextmanager
    def fetched(self, path: str) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(dir=settings.VAR_DIR, prefix=".fetched-") as copy:
            with self.storage.open(path) as content:
                shutil.copyfileobj(content, copy)
            copy.flush()
            yield Path(copy.name)

    def put(self, path: str, source: Path) -> None:
        with source.open("rb") as content:
            self.storage.save(path, File(content))
        if self.is_of_films:
            self.storage.confirm(path)

    def paths(self, folder: str = "") -> Iterator[str]:
        folders, files = self.storage.listdir(folder)
        yield from (f"{folder}{name}" for name in sorted(files))
        for name in folders:
            yield from self.paths(f"{folder}{name}/")


def roots() -> dict[str, Root]:
    """Return the roots of X-rays, of profile and board images, and of trained models."""
    films, files = storages["films"], storages["default"]
    films_folder, files_folder = folder_of(films), folder_of(files)
    return {
        FILMS: Folder(films_folder, mode=CONFIRMED_MODE)
        if films_folder is not None
        else Bucket(films, is_of_films=True),
        FILES: Folder(files_folder) if files_folder is not None else Bucket(files),
        BUNDLES: Folder(Path(settings.BUNDLE_DIR)),
    }


def film_path(sha256: str) -> str:
    """Return the path of an uploaded film below its root."""
    return original_name(sha256)


def other_files() -> Iterator[tuple[str, str]]:
    """Yield the root and the path of every image and of every file of a trained model."""
    for root in (FILES, BUNDLES):
        for path in roots()[root].paths():
            yield root, path


def is_inside(path: str) -> bool:
    """Return whether a path of a manifest stays below its root."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts
