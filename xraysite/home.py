"""What a doctor's home page starts work with: numbers, drafts, patients, and the board."""

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from diagnosis import access_log
from diagnosis.models import BatchItem, Reading
from diagnosis.services.opinions import drafted_by
from diagnosis.services.patient_films import recent_patients
from diagnosis.services.sharing import with_sharing
from diagnosis.worklist import counts
from forum.models import Topic
from forum.notifications import member
from forum.querysets import TAKE_PART

DAYS_SHOWN = 14
CHART_HEIGHT = 60
LISTED = 5


@dataclass(frozen=True)
class Day:
    """The readings of one day, and the bar that shows them.

    Attributes:
        x: where the bar begins, in per cent of the chart's width.
        height: of the bar, from 0 to `CHART_HEIGHT`.
    """

    date: datetime.date
    n: int
    x: float
    height: float


def work_of(user: Any) -> dict[str, Any]:
    """Return the context of the home page of a doctor; what it names of patients is recorded."""
    own = Reading.objects.own_of(user)
    groups = counts.groups(own)
    newest = with_sharing(own.select_related("review", "study")).defer("activation_map")
    recent = list(newest.with_withheld(user)[:LISTED])
    drafts = drafted_by(user).order_by("-opinion_drafts__saved_at").defer("activation_map")
    drafted = list(drafts.with_withheld(user)[:LISTED])
    patients = recent_patients(user)
    if named := {reading.pk: reading for reading in (*recent, *drafted, *patients)}:
        access_log.record_list(list(named.values()), what="list")
    days = _days(own)
    return {
        "waiting": counts.count(groups, {"state": counts.WAITING}),
        "unread": counts.count(groups, {"state": counts.UNREAD}),
        "differing": counts.count(groups, {"own": counts.DIFFERS}),
        "total": sum(group.n for group in groups),
        "today": days[-1].n,
        "inbox": BatchItem.objects.in_inbox_of(user).count(),
        "drafts": drafts.count() if len(drafted) == LISTED else len(drafted),
        "drafted": drafted,
        "recent": recent,
        "patients": patients,
        "days": days,
        "days_total": sum(day.n for day in days),
        "topics": _unread_topics(user),
    }


def _days(own: QuerySet[Reading]) -> list[Day]:
    """Return the last `DAYS_SHOWN` days, oldest first, in the user's time zone."""
    today = timezone.localdate()
    first = today - datetime.timedelta(days=DAYS_SHOWN - 1)
    since = timezone.make_aware(datetime.datetime.combine(first, datetime.time()))
    rows = (
        own.filter(created_at__gte=since)
        .order_by()
        .annotate(day=TruncDate("created_at"))
        .values_list("day")
        .annotate(n=Count("pk"))
    )
    found = dict(rows)
    tallest = max(found.values(), default=0) or 1
    days = [first + datetime.timedelta(days=n) for n in range(DAYS_SHOWN)]
    return [
        Day(
            date=day,
            n=found.get(day, 0),
            x=round(100 * n / DAYS_SHOWN, 2),
            height=round(CHART_HEIGHT * found.get(day, 0) / tallest, 1),
        )
        for n, day in enumerate(days)
    ]


def _unread_topics(user: Any) -> list[Topic]:
    """Return the topics with the newest posts that the user has not read."""
    if not user.has_perm(TAKE_PART):
        return []
    unread = Topic.objects.visible_to(user).unread_by(user, all_read_at=member(user).all_read_at)
    return list(unread.select_related("category").order_by("-last_activity_at", "-id")[:LISTED])
