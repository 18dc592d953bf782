"""The rows of a page of the worklist, loaded by a fixed number of queries."""

import datetime
import hashlib
from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import get_language, ngettext

from diagnosis.models import Reading, Tag, Tagging
from diagnosis.services.sharing import with_sharing
from diagnosis.worklist.orders import longest_wait

HOUR_S = 3600
HOURS_SHOWN = 48


def load(user: Any, keys: Sequence[Any]) -> list[Reading]:
    """Return the readings with these keys that the user works on, in their order, `prepared`."""
    if not keys:
        return []
    readings = Reading.objects.worklist_of(user).filter(pk__in=keys).order_by()
    shown = with_sharing(readings).select_related("review", "study", "doctor", "assigned_to")
    by_key = {reading.pk: reading for reading in shown.defer("activation_map").with_withheld(user)}
    return prepared([by_key[key] for key in keys if key in by_key], user)


def prepared(readings: list[Reading], user: Any) -> list[Reading]:
    """Set what a row shows besides the reading itself.

    The user's `tags`; `is_foreign`, whether it is another doctor's; `waiting` and `is_overdue` (see
    `waiting_text`); and `stamp`, which differs whenever the row looks different.
    """
    tags: dict[Any, list[Tag]] = {}
    taggings = Tagging.objects.filter(
        reading__in=[reading.pk for reading in readings], tag__doctor_id=user.pk
    )
    for tagging in taggings.select_related("tag").order_by("tag__name_key"):
        tags.setdefault(tagging.reading_id, []).append(tagging.tag)
    now = timezone.now()
    for reading in readings:
        since = reading.waiting_since
        row: Any = reading
        row.tags = tags.get(reading.pk, [])
        row.is_foreign = reading.doctor_id != user.pk
        row.waiting = waiting_text(since, now)
        row.is_overdue = since is not None and now - since > longest_wait()
        row.stamp = _stamp(row)
    return readings


def waiting_text(since: datetime.datetime | None, now: datetime.datetime) -> str:
    """Return "waiting 26 hours"; "" for what does not wait, or waits for less than an hour."""
    hours = int((now - since).total_seconds() // HOUR_S) if since is not None else 0
    if hours < 1:
        return ""
    if hours < HOURS_SHOWN:
        return ngettext("waiting %(n)s hour", "waiting %(n)s hours", hours) % {"n": hours}
    days = hours // 24
    return ngettext("waiting %(n)s day", "waiting %(n)s days", days) % {"n": days}


def _stamp(row: Any) -> str:
    review = getattr(row, "review", None)
    parts = [
        get_language(), row.updated_at, row.is_unread, row.waiting, row.is_overdue,
        row.label, row.assigned_to_id, row.own_verdict, review and review.updated_at, row.is_shared,
        *((tag.pk, tag.name, tag.colour) for tag in row.tags),
    ]  # fmt: skip
    return short_hash(repr(parts))


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
