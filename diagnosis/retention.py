"""Soft deletion by doctors, restoring and purging by supervisors.

A doctor's deletion hides a reading from everyone but supervisors. A hidden reading may be purged,
row and film, if its doctor gave "created by mistake" as the reason, or if its retention period is
over.
"""

import datetime
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.audit import recording
from diagnosis import storage
from diagnosis.models import HidingReason, Reading
from diagnosis.services.films import file_names, lock_film
from diagnosis.services.linking import forget_if_empty
from diagnosis.services.sharing import withdraw_cases
from diagnosis.signals import Change, reading_changed

if TYPE_CHECKING:
    from accounts.models import User

UNDO_WINDOW = datetime.timedelta(minutes=10)
MAX_AT_ONCE = 500


class TooLateError(Exception):
    """Raised when a doctor undoes a deletion after `UNDO_WINDOW`."""


class NotPurgeableError(Exception):
    """Raised when a reading may not be purged."""


def retention_ends(reading: Reading) -> datetime.datetime:
    """Return the end of a reading's retention period, `RETENTION_YEARS` after it was made."""
    start = timezone.localtime(reading.created_at)
    year = start.year + settings.RETENTION_YEARS
    try:
        return start.replace(year=year)
    except ValueError:  # 29 February
        return start.replace(year=year, month=3, day=1)


def may_be_purged(reading: Reading) -> bool:
    """Return whether a reading is deleted and may be purged now."""
    if not reading.is_hidden:
        return False
    return reading.hidden_reason == HidingReason.MISTAKE or retention_ends(reading) <= (
        timezone.now()
    )


def purgeable(hidden: QuerySet[Reading]) -> QuerySet[Reading]:
    """Filter hidden readings for those that may be purged now."""
    now = timezone.localtime()
    try:
        start = now.replace(year=now.year - settings.RETENTION_YEARS)
    except ValueError:  # 29 February
        start = now.replace(year=now.year - settings.RETENTION_YEARS, month=2, day=28)
    return hidden.filter(Q(hidden_reason=HidingReason.MISTAKE) | Q(created_at__lte=start))


@transaction.atomic
def hide_reading(
    *,
    doctor: "User",
    reading_id: uuid.UUID,
    reason: HidingReason | str,
    at: datetime.datetime | None = None,
) -> Reading:
    """Hide one of the doctor's own readings and withdraw its images from the board.

    The images stay withdrawn even if the reading is restored.

    Args:
        doctor: the doctor who made the reading.
        reading_id: the reading.
        reason: why it is deleted.
        at: the time of the deletion; now by default.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading, or it is already hidden.
        ValueError: `reason` is not a `HidingReason`.
    """
    reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
    reading.hidden_at = at or timezone.now()
    reading.hidden_by = doctor
    reading.hidden_reason = HidingReason(reason)
    withdraw_cases(reading)
    with recording.event("hidden"):
        _save(reading)
    reading_changed.send(Reading, reading=reading, what=Change.HIDDEN)
    return reading


def hide_readings(
    *, doctor: "User", reading_ids: Collection[uuid.UUID], reason: HidingReason | str
) -> datetime.datetime:
    """Hide several of the doctor's own readings, as `hide_reading` does; those gone are skipped.

    Each is hidden in a transaction of its own: withdrawing images of several readings in one could
    deadlock (see `withdraw_cases`). An error leaves the rest as they were.

    Returns:
        The time of the deletion, by which `undo_hiding_at` finds them.

    Raises:
        ValueError: there are more than `MAX_AT_ONCE`, or `reason` is not a `HidingReason`.
    """
    if len(reading_ids) > MAX_AT_ONCE:
        raise ValueError(f"At most {MAX_AT_ONCE} readings. Received: {len(reading_ids)}.")
    at = timezone.now()
    for key in reading_ids:
        with suppress(Reading.DoesNotExist):
            hide_reading(doctor=doctor, reading_id=key, reason=reason, at=at)
    return at


def undo_hiding_at(*, doctor: "User", at: datetime.datetime) -> list[Reading]:
    """Restore what the doctor deleted at once with `hide_readings`.

    Raises:
        Reading.DoesNotExist: the doctor deleted nothing then, or it is restored already.
        TooLateError: see `undo_hiding`.
    """
    keys = Reading.objects.hidden_of(doctor).filter(hidden_at=at).values_list("pk", flat=True)
    restored = [undo_hiding(doctor=doctor, reading_id=key) for key in keys[:MAX_AT_ONCE]]
    if not restored:
        raise Reading.DoesNotExist
    return restored


@transaction.atomic
def undo_hiding(*, doctor: "User", reading_id: uuid.UUID) -> Reading:
    """Restore a reading that the doctor deleted within `UNDO_WINDOW`.

    Args:
        doctor: the doctor who deleted the reading.
        reading_id: the reading.

    Raises:
        Reading.DoesNotExist: the doctor has deleted no such reading.
        TooLateError: the deletion is older than `UNDO_WINDOW`; only a supervisor can restore the
            reading.
    """
    reading = Reading.objects.hidden_of(doctor).select_for_update().get(pk=reading_id)
    if reading.hidden_at is None or reading.hidden_at < timezone.now() - UNDO_WINDOW:
        raise TooLateError
    with recording.event("restored", reason="undone by the doctor"):
        _unhide(reading)
    return reading


@transaction.atomic
def restore_reading(*, supervisor: "User", reading_id: uuid.UUID, reason: str) -> Reading:
    """Restore a hidden reading to its doctor.

    Args:
        supervisor: who restores it.
        reading_id: the reading.
        reason: recorded in the audit log.

    Raises:
        PermissionDenied: the account may not oversee readings.
        Reading.DoesNotExist: there is no such hidden reading.
    """
    reading = _hidden(supervisor, reading_id)
    with recording.event("restored", reason=reason):
        _unhide(reading)
    return reading


@transaction.atomic
def purge_reading(*, supervisor: "User", reading_id: uuid.UUID, reason: str) -> None:
    """Delete a hidden reading permanently, with its film.

    The film is kept if another reading was made of it. Files are removed after the row's deletion
    is committed; `diagnosis.sweeping` finds what a failure leaves behind.

    Args:
        supervisor: who purges it.
        reading_id: the reading.
        reason: recorded in the audit log.

    Raises:
        PermissionDenied: the account may not oversee readings.
        Reading.DoesNotExist: there is no such hidden reading.
        NotPurgeableError: the reading must still be kept.
    """
    _purge(_hidden(supervisor, reading_id), reason=reason)


@transaction.atomic
def purge_expired(reading_id: uuid.UUID) -> None:
    """Purge a hidden reading whose retention period is over; for the server's operator.

    Raises:
        Reading.DoesNotExist: there is no such hidden reading.
        NotPurgeableError: its retention period is not over.
    """
    hidden = Reading.objects.filter(hidden_at__isnull=False)
    reading = hidden.select_for_update().get(pk=reading_id)
    if retention_ends(reading) > timezone.now():
        raise NotPurgeableError
    _purge(reading, reason="retention period over")


def expired() -> Iterator[Reading]:
    """Yield the hidden readings whose retention period is over, oldest first."""
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


def _unhide(reading: Reading) -> None:
    reading.hidden_at, reading.hidden_by, reading.hidden_reason = None, None, ""
    _save(reading)
    reading_changed.send(Reading, reading=reading, what=Change.RESTORED)


def _save(reading: Reading) -> None:
    reading.save(update_fields=["hidden_at", "hidden_by", "hidden_reason", "updated_at"])


def _purge(reading: Reading, *, reason: str) -> None:
    if not may_be_purged(reading):
        raise NotPurgeableError
    withdraw_cases(reading)
    sha256, study = reading.film_sha256, reading.study
    review = getattr(reading, "review", None)
    detail = {"own reading": review.verdict} if review is not None else {}
    with recording.event("purged", reason=reason, **detail):
        reading.delete()
    forget_if_empty(study)
    # Robust: if a file cannot be removed, the row is deleted all the same, and `sweep_films`
    # removes the file later.
    transaction.on_commit(lambda: _remove_unused_film(sha256), robust=True)


@transaction.atomic
def _remove_unused_film(sha256: str) -> None:
    lock_film(sha256)
    if not Reading.objects.filter(film_sha256=sha256).exists():
        storage.remove(file_names(sha256))
