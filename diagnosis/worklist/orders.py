"""The orders of the worklist, as segments that an index finds page by page.

A reading whose result is withheld has its place by the time it was read, whatever the result:
`Reading.urgency` and `Reading.pneumonia_probability` are the same for all of them.
"""

import datetime
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.models import NEWEST_FIRST, Label
from xraysite.common.keyset import Segment

TRIAGE = "triage"
OLDEST_FIRST = ("created_at", "id")
RESULTS = (Label.PNEUMONIA, Label.UNSURE, Label.NORMAL, Label.OUT_OF_SCOPE)


@dataclass(frozen=True)
class Column:
    """A column that the worklist can be sorted by.

    Attributes:
        label: its heading.
        order: the fields of its ascending order.
        first: the direction of the first click: "" or "-".
    """

    label: str | Promise
    order: tuple[str, ...] = ()
    first: str = ""


# By the name in URLs. Ties are broken by time, in the same direction, so that each order is an
# index read forwards or backwards.
COLUMNS = {
    "name": Column(_("Patient"), ("patient_name_key", *NEWEST_FIRST)),
    "age": Column(_("Age"), ("patient_age_years", *NEWEST_FIRST)),
    "exam": Column(_("Exam date"), ("exam_date", *OLDEST_FIRST), first="-"),
    "result": Column(_("Result")),
    "probability": Column(
        _("Probability"),
        ("pneumonia_probability", *OLDEST_FIRST),
        first="-",
    ),
    "read": Column(_("Read at"), OLDEST_FIRST, first="-"),
}
# The columns whose order tells the model's result.
BY_ANSWER = frozenset({"result", "probability"})
SORTS = [TRIAGE, *(f"{way}{name}" for name in COLUMNS for way in ("", "-"))]


def longest_wait() -> datetime.timedelta:
    """Return how long a film waits before it rises to the top, whatever the model said."""
    return datetime.timedelta(hours=settings.WORKLIST_MAX_WAIT_HOURS)


def segments(
    sort: str, *, now: datetime.datetime | None = None, by_answer: bool = True
) -> list[Segment]:
    """Return the segments of an order; of the triage order if there is no such order.

    Args:
        by_answer: whether the triage order may look at the model's result.
    """
    if sort not in SORTS or sort == TRIAGE:
        return _triage(now or timezone.now()) if by_answer else _by_waiting()
    name = sort.lstrip("-")
    parts = _by_result() if name == "result" else [Segment(COLUMNS[name].order)]
    return [part.reversed() for part in reversed(parts)] if sort.startswith("-") else parts


def _triage(now: datetime.datetime) -> list[Segment]:
    """Return what has waited too long, then what waits by urgency, then the rest."""
    overdue = Q(waiting_since__lt=now - longest_wait())
    return [
        Segment(("waiting_since", "id"), overdue),
        Segment(
            ("urgency", "-pneumonia_probability", "waiting_since", "id"),
            Q(waiting_since__gte=now - longest_wait()),
        ),
        Segment(tuple(NEWEST_FIRST), Q(waiting_since__isnull=True)),
    ]


def _by_waiting() -> list[Segment]:
    """Return what waits, the longest first, then the rest."""
    return [
        Segment(("waiting_since", "id"), Q(waiting_since__isnull=False)),
        Segment(tuple(NEWEST_FIRST), Q(waiting_since__isnull=True)),
    ]


def _by_result() -> list[Segment]:
    """Return the results by urgency, then the readings whose result is withheld."""
    return [
        *(Segment(tuple(NEWEST_FIRST), Q(withheld=False, label=label)) for label in RESULTS),
        Segment(OLDEST_FIRST, Q(withheld=True)),
    ]
