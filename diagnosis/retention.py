"""How a reading ends: its doctor deletes it, a supervisor restores or purges it.

A doctor's delete hides. A hidden reading may be purged, film and row, when its doctor said that it
was made by mistake, or when it is older than the retention period.
"""

import datetime
import logging
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.audit import recording
from diagnosis import storage
from diagnosis.models import HidingReason, Reading
from diagnosis.services.films import THUMBNAIL_SIDE, VIEWER_SIDE, lock_film
from diagnosis.services.sharing import withdraw_cases

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

UNDO_WINDOW = datetime.timedelta(minutes=10)
# A film is stored before its row: what is younger may belong to a reading being made.
ORPHAN_AGE = datetime.timedelta(hours=1)


class TooLateError(Exception):
    """The time in which a doctor may undo a deletion is over."""


class NotPurgeableError(Exception):
    """The reading has to be kept."""


def retention_ends(reading: Reading) -> datetime.datetime:
    """Returns when the retention period of a reading ends."""
    start = timezone.localtime(reading.created_at)
    year = start.year + settings.RETENTION_YEARS
    try:
        return start.replace(year=year)
    except ValueError:  # 29 February
        return start.replace(year=year, month=3, day=1)


def may_be_purged(reading: Reading) -> bool:
    if not reading.is_hidden:
        return False
    return reading.hidden_reason == HidingReason.MISTAKE or retention_ends(reading) <= (
        timezone.now()
    )


def purgeable(hidden: QuerySet[Reading]) -> QuerySet[Reading]:
    """Returns those of the hidden readings that may be purged now."""
    now = timezone.localtime()
    try:
        start = now.replace(year=now.year - settings.RETENTION_YEARS)
    except ValueError:  # 29 February
        start = now.replace(year=now.year - settings.RETENTION_YEARS, month=2, day=28)
    return hidden.filter(Q(hidden_reason=HidingReason.MISTAKE) | Q(created_at__lte=start))


@transaction.atomic
def hide_reading(*, doctor: "User", reading_id: uuid.UUID, reason: HidingReason | str) -> Reading:
    """Takes an own reading away from everyone but supervisors, and its pictures off the board.

    A picture stays withdrawn whatever becomes of the reading.

    Raises:
        Reading.DoesNotExist: if it is no reading of this doctor, or is hidden already.
        ValueError: if there is no such reason.
    """
    reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
    reading.hidden_at = timezone.now()
    reading.hidden_by = doctor
    reading.hidden_reason = HidingReason(reason)
    withdraw_cases(reading)
    with recording.event("hidden"):
        _save(reading)
    return reading


@transaction.atomic
def undo_hiding(*, doctor: "User", reading_id: uuid.UUID) -> Reading:
    """Brings back what the doctor deleted no longer than `UNDO_WINDOW` ago.

    Raises:
        Reading.DoesNotExist: if this doctor deleted no such reading.
        TooLateError: if it is longer ago; a supervisor can restore it.
    """
    reading = Reading.objects.hidden_of(doctor).select_for_update().get(pk=reading_id)
    if reading.hidden_at is None or reading.hidden_at < timezone.now() - UNDO_WINDOW:
        raise TooLateError
    with recording.event("restored", reason="undone by the doctor"):
        _show(reading)
    return reading


@transaction.atomic
def restore_reading(*, supervisor: "User", reading_id: uuid.UUID, reason: str) -> Reading:
    """Gives a hidden reading back to its doctor.

    Raises:
        PermissionDenied: if the account is no supervisor's.
        Reading.DoesNotExist: if there is no such reading, or it is not hidden.
    """
    reading = _hidden(supervisor, reading_id)
    with recording.event("restored", reason=reason):
        _show(reading)
    return reading


@transaction.atomic
def purge_reading(*, supervisor: "User", reading_id: uuid.UUID, reason: str) -> None:
    """Removes a hidden reading for good, and its film where no other reading is of the same film.

    The row goes first; files follow when that is certain. What a failure leaves behind is found
    by `orphans`.

    Raises:
        PermissionDenied: if the account is no supervisor's.
        Reading.DoesNotExist: if there is no such reading, or it is not hidden.
        NotPurgeableError: if the retention period does not allow it yet.
    """
    _purge(_hidden(supervisor, reading_id), reason=reason)


@transaction.atomic
def purge_expired(reading_id: uuid.UUID) -> None:
    """Purges a hidden reading past its retention period, as the server's operator.

    Raises:
        Reading.DoesNotExist: if there is no such reading, or it is not hidden.
        NotPurgeableError: if its period is not over.
    """
    hidden = Reading.objects.filter(hidden_at__isnull=False)
    reading = hidden.select_for_update().get(pk=reading_id)
    if retention_ends(reading) > timezone.now():
        raise NotPurgeableError
    _purge(reading, reason="retention period over")


def expired() -> Iterator[Reading]:
    """Yields the hidden readings whose retention period is over, oldest first."""
    hidden = Reading.objects.filter(hidden_at__isnull=False).defer("activation_map")
    for reading in hidden.order_by("created_at", "id").iterator(chunk_size=1000):
        if retention_ends(reading) > timezone.now():
            return
        yield reading


def _hidden(supervisor: "User", reading_id: uuid.UUID) -> Reading:
    if not supervisor.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    hidden = Reading.objects.filter(hidden_at__isnull=False)
    return hidden.select_for_update().get(pk=reading_id)


def _show(reading: Reading) -> None:
    reading.hidden_at, reading.hidden_by, reading.hidden_reason = None, None, ""
    _save(reading)


def _save(reading: Reading) -> None:
    reading.save(update_fields=["hidden_at", "hidden_by", "hidden_reason", "updated_at"])


def _purge(reading: Reading, *, reason: str) -> None:
    if not may_be_purged(reading):
        raise NotPurgeableError
    withdraw_cases(reading)
    sha256 = reading.film_sha256
    review = getattr(reading, "review", None)
    detail = {"own reading": review.verdict} if review is not None else {}
    with recording.event("purged", reason=reason, **detail):
        reading.delete()
    # Should a file resist, the row is gone all the same, and the sweep finds the file.
    transaction.on_commit(lambda: _forget_film_without_reading(sha256), robust=True)


@transaction.atomic
def _forget_film_without_reading(sha256: str) -> None:
    lock_film(sha256)
    if not Reading.objects.filter(film_sha256=sha256).exists():
        storage.forget(
            [
                storage.original_name(sha256),
                storage.rendering_name(sha256, VIEWER_SIDE),
                storage.rendering_name(sha256, THUMBNAIL_SIDE),
            ]
        )


def orphans() -> Iterator[str]:
    """Yields the names of stored files that belong to no reading and are no longer being made."""
    root = Path(storages["films"].path(""))
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    for folder in ("original", "rendering"):
        for shelf in sorted((root / folder).glob("*")):
            old = [path for path in sorted(shelf.iterdir()) if path.stat().st_mtime < newest]
            known = _known({storage.sha256_of(path.name) for path in old})
            for path in old:
                if storage.sha256_of(path.name) not in known:
                    yield path.relative_to(root).as_posix()


def abandoned_uploads() -> Iterator[Path]:
    """Yield temporary files of uploads that a killed process left behind."""
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    for path in sorted(Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*")):
        if path.stat().st_mtime < newest:
            yield path


def _known(hashes: set[str]) -> set[str]:
    """Returns those of the hashes that some reading names."""
    known: set[str] = set()
    for some in _batches(hashes, 500):
        found = Reading.objects.filter(film_sha256__in=some).order_by()
        known.update(found.values_list("film_sha256", flat=True))
    return known


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


@transaction.atomic
def remove_orphan(name: str) -> bool:
    """Removes a file that `orphans` named; returns whether it still belonged to no reading."""
    sha256 = storage.sha256_of(Path(name).name)
    if storage.is_sha256(sha256):
        lock_film(sha256)
        if Reading.objects.filter(film_sha256=sha256).exists():
            return False
    storage.forget([name])
    return True
