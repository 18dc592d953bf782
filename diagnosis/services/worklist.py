"""Services that change the state of readings on their doctor's worklist: opened, done, tagged."""

import uuid
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.audit.recording import record_shown
from diagnosis.models import Reading, Tag, Tagging

if TYPE_CHECKING:
    from accounts.models import User

# Readings of one action; more are refused before anything is changed.
MAX_READINGS = 10_000
CHUNK = 500


class TooManyReadingsError(ValueError):
    """Raised when an action concerns more readings than its limit."""


def mark_opened(*, doctor: "User", reading_id: uuid.UUID) -> bool:
    """Record that a doctor has opened the page of a reading that they made.

    Viewing the page is recorded by the page itself.

    Returns:
        Whether it was opened for the first time.
    """
    unread = Reading.objects.own_of(doctor).filter(pk=reading_id, opened_at__isnull=True)
    return bool(unread.update(opened_at=timezone.now()))


@transaction.atomic
def set_done(*, doctor: "User", reading_ids: Collection[uuid.UUID], done: bool) -> int:
    """Take readings off the doctor's waiting list, or put them back.

    A reading with a signed assessment does not wait, so it cannot be put back.

    Args:
        doctor: the doctor who made the readings; others are left alone.
        reading_ids: the readings.
        done: False puts them back, waiting since they were made.

    Returns:
        How many were changed.

    Raises:
        TooManyReadingsError: there are more than `MAX_READINGS`.
    """
    changed = 0
    for keys in _chunks(reading_ids):
        own = Reading.objects.own_of(doctor).filter(pk__in=keys, waiting_since__isnull=not done)
        if not done:
            own = own.filter(review__signed_at__isnull=True)
        found = list(own.order_by("pk").select_for_update().values_list("pk", flat=True))
        since = None if done else F("created_at")
        changed += Reading.objects.filter(pk__in=found).update(waiting_since=since)
        if found:
            record_shown(Reading, found, what="settled" if done else "put-back")
    return changed


@transaction.atomic
def add_tag(*, doctor: "User", tag_id: int, reading_ids: Collection[uuid.UUID]) -> int:
    """Put one of the doctor's tags on readings.

    Returns:
        How many readings got the tag; the others had it.

    Raises:
        Tag.DoesNotExist: the doctor has no such tag.
        TooManyReadingsError: there are more than `MAX_READINGS`.
    """
    tag = Tag.objects.select_for_update().get(pk=tag_id, doctor=doctor)
    added = 0
    for keys in _chunks(reading_ids):
        own = Reading.objects.own_of(doctor).filter(pk__in=keys).exclude(taggings__tag=tag)
        found = list(own.order_by("pk").values_list("pk", flat=True))
        if found:
            Tagging.objects.bulk_create(Tagging(tag=tag, reading_id=key) for key in found)
            record_shown(Reading, found, what="tagged", detail={"tag": tag.pk})
        added += len(found)
    return added


@transaction.atomic
def remove_tag(*, doctor: "User", tag_id: int, reading_ids: Collection[uuid.UUID]) -> int:
    """Take one of the doctor's tags off readings.

    Returns:
        How many readings had the tag.

    Raises:
        Tag.DoesNotExist: the doctor has no such tag.
        TooManyReadingsError: there are more than `MAX_READINGS`.
    """
    tag = Tag.objects.select_for_update().get(pk=tag_id, doctor=doctor)
    removed = 0
    for keys in _chunks(reading_ids):
        own = Reading.objects.own_of(doctor).filter(pk__in=keys, taggings__tag=tag)
        found = list(own.order_by("pk").values_list("pk", flat=True))
        if found:
            Tagging.objects.filter(tag=tag, reading__in=found).delete()
            record_shown(Reading, found, what="untagged", detail={"tag": tag.pk})
        removed += len(found)
    return removed


def _chunks(reading_ids: Collection[uuid.UUID]) -> list[Sequence[uuid.UUID]]:
    if len(reading_ids) > MAX_READINGS:
        raise TooManyReadingsError(len(reading_ids))
    keys = list(reading_ids)
    return [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]
