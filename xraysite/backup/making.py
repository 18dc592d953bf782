"""Make a backup while the site runs."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from diagnosis.models import BatchItem, Reading
from diagnosis.storage import batch_name
from exchange.incoming.models import Arrival
from xraysite import __version__
from xraysite.backup import databases, sources
from xraysite.backup.errors import BackupError, DamagedError
from xraysite.backup.manifests import DatabaseFacts, Entry, Manifest
from xraysite.backup.repository import Repository

Store = Callable[..., tuple[str, int]]

SCRATCH = "backup-"
DAY = 24 * 3600


@dataclass(frozen=True)
class Made:
    """A finished backup.

    Attributes:
        time: its name.
        manifest: what it contains.
        new: number of files that no earlier backup had.
        new_bytes: their size.
    """

    time: str
    manifest: Manifest
    new: int
    new_bytes: int


def back_up(repository: Repository, *, verify: bool = False) -> Made:
    """Back up the database, X-rays, images and trained models.

    Films that are missing or damaged are listed in the manifest; the rest is backed up all the
    same.

    Args:
        repository: where to.
        verify: whether to read every file of the backup again.

    Raises:
        BackupError: another backup is running, the folder lies inside the site's data, or `verify`
            found a damaged file.
        OSError: a file cannot be read, or the folder is full; the backup does not exist then.
    """
    _refuse_own_folders(repository.folder)
    repository.create()
    with repository.locked(), scratch_folder() as scratch:
        made = _back_up(repository, scratch)
        if verify:
            for sha256 in made.manifest.objects:
                repository.verify(sha256)
        return made


def _refuse_own_folders(folder: Path) -> None:
    folders = [root.folder for root in sources.roots().values() if root.folder is not None]
    for own in (*folders, Path(settings.STATIC_ROOT)):
        if folder.resolve().is_relative_to(own.resolve()):
            raise BackupError(
                f"{folder} lies inside {own}, which is backed up or served. Choose a folder on "
                "another disk."
            )


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a private folder for the dump; remove those of backups that were killed."""
    for left in Path(settings.VAR_DIR).glob(f"{SCRATCH}*"):
        if left.is_dir() and left.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=settings.VAR_DIR) as name:
        yield Path(name)


def _back_up(repository: Repository, scratch: Path) -> Made:
    now = timezone.now()
    new: list[int] = []

    def store(source: Path, sha256: str | None = None) -> tuple[str, int]:
        name, size, is_new = repository.store(source, sha256=sha256)
        if is_new:
            new.append(size)
        return name, size

    # Before the dump and after it: an image that is replaced deletes the one that a row refers to.
    entries = {**_others(store)}
    dump = scratch / "database"
    contents = databases.dump(dump)
    sha256, size = store(dump)
    dump.unlink()
    facts = DatabaseFacts(
        engine=databases.engine(),
        sha256=sha256,
        size=size,
        rows=contents.rows,
        migrations=contents.migrations,
        audit_head=contents.audit_head,
    )
    films, missing = _films(repository, contents.films, store)
    entries |= _others(store) | _waiting(store)
    files = [*films, *entries.values()]
    manifest = Manifest(now.isoformat(), __version__, facts, files, missing)
    name = _free_name(repository, f"{now:%Y%m%dT%H%M%SZ}")
    repository.write_manifest(name, manifest)
    return Made(name, manifest, len(new), sum(new))


def _others(store: Store) -> dict[tuple[str, str], Entry]:
    """Store all images and models, and return them by root and path."""
    roots, entries = sources.roots(), {}
    for root, path in sources.other_files():
        try:
            with roots[root].fetched(path) as found:
                entries[root, path] = Entry(root, path, *store(found))
        except FileNotFoundError:  # replaced or withdrawn in the meantime
            continue
    return entries


def _films(
    repository: Repository, hashes: list[str], store: Store
) -> tuple[list[Entry], list[str]]:
    """Store the films, and return them and the paths of those that are missing or damaged."""
    root = sources.roots()[sources.FILMS]
    films, missing = [], []
    for sha256 in hashes:
        path = sources.film_path(sha256)
        try:
            # In an object store, a film is fetched only if no earlier backup has it.
            size = root.size(path)
            if not repository.has(sha256, size):
                with root.fetched(path) as found:
                    store(found, sha256)
            films.append(Entry(sources.FILMS, path, sha256, size))
        except (FileNotFoundError, DamagedError):
            if Reading.objects.filter(film_sha256=sha256).exists():  # not purged in the meantime
                missing.append(path)
    return films, missing


def _waiting(store: Store) -> dict[tuple[str, str], Entry]:
    """Store the X-rays of batches and from machines that have not been read yet."""
    root, entries = sources.roots()[sources.FILMS], {}
    items = BatchItem.objects.filter(is_stored=True).iterator(chunk_size=500)
    arrivals = Arrival.objects.filter(is_stored=True).iterator(chunk_size=500)
    for path in chain(
        (batch_name(item.doctor_id, item.pk) for item in items),
        (arrival.storage_name for arrival in arrivals),
    ):
        try:
            with root.fetched(path) as found:
                entries[sources.FILMS, path] = Entry(sources.FILMS, path, *store(found))
        except FileNotFoundError:  # read or removed in the meantime
            continue
    return entries


def _free_name(repository: Repository, name: str) -> str:
    if name in repository.times():
        raise BackupError(f"The backup {name} exists already. Wait a second and try again.")
    return name
