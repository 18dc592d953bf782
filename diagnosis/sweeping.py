"""Removal of stored files that belong to no reading.

A film without a reading is moved to the quarantine, from which it can be put back. Nothing is moved
if the database seems to be older than the films, as after restoring yesterday's: the films of
today's readings would all be without a reading then.
"""

import datetime
import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.core.files.storage import storages
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.models import Reading
from diagnosis.services.films import lock_film
from xraysite.common import private_files

logger = logging.getLogger(__name__)

# Files are stored before their row, so a younger file may belong to a reading in progress.
ORPHAN_AGE = datetime.timedelta(hours=1)
QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Orphan:
    """A stored file without a reading.

    Attributes:
        path: the file.
        sha256: the film's hash; "" for an unfinished file.
        is_film: whether it is an uploaded film that nobody purged; otherwise it is a rendering, an
            unfinished file, or a film that a purge failed to delete.
        is_lost: whether its reading seems to have been lost from the database.
    """

    path: Path
    sha256: str
    is_film: bool = False
    is_lost: bool = False

    @property
    def name(self) -> str:
        """The storage name."""
        return self.path.relative_to(_root()).as_posix()


def _root() -> Path:
    return Path(storages["films"].path(""))


def find_orphans() -> list[Orphan]:
    """Find stored files without a reading that are older than `ORPHAN_AGE`.

    A film's reading is lost if it was committed once and nobody purged it, or if the film is newer
    than everything in the database.
    """
    purged = _purged()
    row = newest_row()
    # A film is stored in the midst of other activity, which the audit log records.
    limit = (row + ORPHAN_AGE).timestamp() if row is not None else 0
    found = []
    for path, written in _without_reading():
        sha256 = storage.sha256_of(path.name)
        if not storage.is_sha256(sha256):
            found.append(Orphan(path, ""))
        elif path.name != sha256 or written <= purged.get(sha256, 0):
            found.append(Orphan(path, sha256))
        else:
            is_lost = storage.is_confirmed(path) or written > limit
            found.append(Orphan(path, sha256, is_film=True, is_lost=is_lost))
    return found


def newest_row() -> datetime.datetime | None:
    """Return the time of the newest audit row or reading; None in an empty database."""
    entry = AuditEntry.objects.order_by("-sequence").values_list("timestamp", flat=True).first()
    reading = Reading.objects.order_by("-created_at").values_list("created_at", flat=True).first()
    return max((each for each in (entry, reading) if each is not None), default=None)


def _purged() -> dict[str, float]:
    """Return when the films of purged readings were purged, in seconds since 1970, by hash."""
    purged = AuditEntry.objects.filter(what="purged").order_by("sequence")
    return {
        entry.changes_dict["film_sha256"][0]: entry.timestamp.timestamp()
        for entry in purged.iterator(chunk_size=1000)
        if "film_sha256" in entry.changes_dict
    }


def _without_reading() -> Iterator[tuple[Path, float]]:
    """Yield old files without a reading, and when they were written; confirm the other films."""
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    for folder in ("original", "rendering"):
        for directory in sorted((_root() / folder).glob("*")):
            old = [each for each in _written(directory) if each[1] < newest]
            known = _with_reading({storage.sha256_of(path.name) for path, _ in old})
            for path, written in old:
                if storage.sha256_of(path.name) not in known:
                    yield path, written
                elif folder == "original":
                    _confirm(path)


def _written(directory: Path) -> Iterator[tuple[Path, float]]:
    for path in sorted(directory.iterdir()):
        try:
            yield path, path.stat().st_mtime
        except FileNotFoundError:  # removed in the meantime
            continue


def _confirm(path: Path) -> None:
    """Mark a film of an earlier version, or one whose commit was never acknowledged."""
    try:
        if not storage.is_confirmed(path):
            storage.confirm(path.name)
    except OSError as error:
        logger.warning("%s cannot be marked as committed: %s", path, error.strerror)


def _with_reading(hashes: set[str]) -> set[str]:
    """Return those of the film hashes that a reading has."""
    known: set[str] = set()
    for batch in _batches(hashes, 500):
        found = Reading.objects.filter(film_sha256__in=batch).order_by()
        known.update(found.values_list("film_sha256", flat=True))
    return known


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


@transaction.atomic
def remove_orphan(orphan: Orphan) -> bool:
    """Move a film to the quarantine, or delete another file, unless it has a reading by now.

    The lock makes sure that no row can appear: it waits for the transactions that are storing a
    reading of the film, and later ones store the film again.

    Returns:
        Whether the file was removed.
    """
    if orphan.sha256:
        lock_film(orphan.sha256)
        if Reading.objects.filter(film_sha256=orphan.sha256).exists():
            return False
    if not orphan.is_film:
        orphan.path.unlink(missing_ok=True)
        return True
    target = _root() / QUARANTINE / timezone.localdate().isoformat() / orphan.sha256
    private_files.make_folder(target.parent)
    try:
        orphan.path.replace(target)
    except FileNotFoundError:  # removed in the meantime
        return False
    return True


def quarantined() -> list[Path]:
    """Return the films in quarantine, those that were set aside first at the start."""
    found = (_root() / QUARANTINE).glob("*/*")
    return sorted(path for path in found if storage.is_sha256(path.name))


@transaction.atomic
def put_back(path: Path, *, even_without_reading: bool = False) -> bool:
    """Move a film from the quarantine back to its place, also over a damaged one.

    Args:
        path: a file that `quarantined` returned.
        even_without_reading: whether to move it if it has no reading.

    Returns:
        Whether it was moved. A film that is damaged itself stays in quarantine.
    """
    sha256 = path.name
    lock_film(sha256)
    if not even_without_reading and not Reading.objects.filter(film_sha256=sha256).exists():
        return False
    with path.open("rb") as film:
        if hashlib.file_digest(film, "sha256").hexdigest() != sha256:
            logger.error("%s is damaged and stays in quarantine.", path)
            return False
    target = Path(storages["films"].path(storage.original_name(sha256)))
    private_files.make_folder(target.parent)
    path.replace(target)
    return True


def purge_quarantine(*, days: int) -> Iterator[Path]:
    """Delete the films that were set aside `days` days ago or earlier, and yield their paths."""
    limit = (timezone.localdate() - datetime.timedelta(days=days)).isoformat()
    for path in quarantined():
        if path.parent.name <= limit:
            path.unlink(missing_ok=True)
            yield path
    for folder in (_root() / QUARANTINE).glob("*"):
        if not any(folder.iterdir()):
            folder.rmdir()


def abandoned_uploads() -> Iterator[Path]:
    """Yield temporary upload files, older than `ORPHAN_AGE`, that a killed process left."""
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    for path, written in _written(Path(settings.FILE_UPLOAD_TEMP_DIR)):
        if ".upload" in path.name and written < newest:
            yield path
