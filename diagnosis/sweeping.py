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
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.film_storage import StoredFile
from diagnosis.models import Reading
from diagnosis.services.films import lock_film

logger = logging.getLogger(__name__)

# Files are stored before their row, so a younger file may belong to a reading in progress.
ORPHAN_AGE = datetime.timedelta(hours=1)
QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Orphan:
    """A stored file without a reading.

    Attributes:
        name: its storage name.
        sha256: the film's hash; "" for an unfinished file.
        is_film: whether it is an uploaded film that nobody purged; otherwise it is a rendering, an
            unfinished file, or a film that a purge failed to delete.
        is_lost: whether its reading seems to have been lost from the database.
    """

    name: str
    sha256: str
    is_film: bool = False
    is_lost: bool = False


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
    for file in _without_reading():
        sha256 = storage.sha256_of(file.filename)
        if not storage.is_sha256(sha256):
            found.append(Orphan(file.name, ""))
        elif file.filename != sha256 or file.written <= purged.get(sha256, 0):
            found.append(Orphan(file.name, sha256))
        else:
            is_lost = file.is_confirmed or file.written > limit
            found.append(Orphan(file.name, sha256, is_film=True, is_lost=is_lost))
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


def _without_reading() -> Iterator[StoredFile]:
    """Yield old files without a reading; confirm the other films."""
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    for folder in ("original", "rendering"):
        for directory in storage.films().folders(folder):
            old = [file for file in storage.films().files(directory) if file.written < newest]
            known = _with_reading({storage.sha256_of(file.filename) for file in old})
            for file in old:
                if storage.sha256_of(file.filename) not in known:
                    yield file
                elif folder == "original":
                    _confirm(file)


def _confirm(file: StoredFile) -> None:
    """Mark a film of an earlier version, or one whose commit was never acknowledged."""
    try:
        if not file.is_confirmed:
            storage.confirm(file.filename)
    except OSError as error:
        logger.warning("%s cannot be marked as committed: %s", file.name, error.strerror)


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
        storage.films().delete(orphan.name)
        return True
    target = f"{QUARANTINE}/{timezone.localdate().isoformat()}/{orphan.sha256}"
    try:
        storage.films().move(orphan.name, target)
    except FileNotFoundError:  # removed in the meantime
        return False
    return True


def quarantined() -> list[StoredFile]:
    """Return the films in quarantine, those that were set aside first at the start."""
    return [
        file
        for folder in storage.films().folders(QUARANTINE)
        for file in storage.films().files(folder)
        if storage.is_sha256(file.filename)
    ]


@transaction.atomic
def put_back(file: StoredFile, *, even_without_reading: bool = False) -> bool:
    """Move a film from the quarantine back to its place, also over a damaged one.

    Args:
        file: a file that `quarantined` returned.
        even_without_reading: whether to move it if it has no reading.

    Returns:
        Whether it was moved. A film that is damaged itself stays in quarantine.
    """
    sha256 = file.filename
    lock_film(sha256)
    if not even_without_reading and not Reading.objects.filter(film_sha256=sha256).exists():
        return False
    content = storage.read(file.name)
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        logger.error("%s is damaged and stays in quarantine.", file.name)
        return False
    storage.films().move(file.name, storage.original_name(sha256))
    return True


def purge_quarantine(*, days: int) -> Iterator[StoredFile]:
    """Delete the films that were set aside `days` days ago or earlier, and yield them."""
    limit = (timezone.localdate() - datetime.timedelta(days=days)).isoformat()
    for file in quarantined():
        if file.folder <= limit:
            storage.films().delete(file.name)
            yield file
    for folder in storage.films().folders(QUARANTINE):
        storage.films().remove_empty_folder(folder)


def abandoned_uploads() -> Iterator[Path]:
    """Yield temporary upload files, older than `ORPHAN_AGE`, that a killed process left."""
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    for path in sorted(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir()):
        try:
            if ".upload" in path.name and path.stat().st_mtime < newest:
                yield path
        except FileNotFoundError:  # removed in the meantime
            continue
