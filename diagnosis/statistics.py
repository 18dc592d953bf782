"""Figures over many readings, of no patient and, unless asked for by doctor, of nobody."""

import datetime
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, Count, IntegerField, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import User
from diagnosis.models import Agreement, Label, Reading

DAYS = 30
MAX_DOCTORS = 20


@dataclass
class Tally:
    """How many readings there are, by what the model said and how doctors' own readings compare.

    What was deleted is not counted.
    """

    labels: Counter[str] = field(default_factory=Counter)
    agreements: Counter[tuple[str, str]] = field(default_factory=Counter)
    film_bytes: int = 0

    def add(self, *, label: str, agreement: str, n: int, film_bytes: int = 0) -> None:
        self.labels[label] += n
        self.film_bytes += film_bytes
        if agreement:
            self.agreements[agreement, label] += n

    @property
    def n(self) -> int:
        return self.labels.total()

    @property
    def normal(self) -> int:
        return self.labels[Label.NORMAL]

    @property
    def pneumonia(self) -> int:
        return self.labels[Label.PNEUMONIA]

    @property
    def unsure(self) -> int:
        return self.labels[Label.UNSURE]

    @property
    def out_of_scope(self) -> int:
        return self.labels[Label.OUT_OF_SCOPE]

    @property
    def unsure_percent(self) -> float | None:
        return _percent(self.unsure, self.n)

    @property
    def out_of_scope_percent(self) -> float | None:
        return _percent(self.out_of_scope, self.n)

    @property
    def compared(self) -> int:
        """Readings that both the model and the doctor called normal or pneumonia."""
        return self.agreements.total()

    @property
    def missed(self) -> int:
        """Those of them that the model called normal and the doctor pneumonia."""
        return self.agreements[Agreement.DISAGREE, Label.NORMAL]

    @property
    def alarmed(self) -> int:
        """Those of them that the model called pneumonia and the doctor normal."""
        return self.agreements[Agreement.DISAGREE, Label.PNEUMONIA]

    @property
    def disagreed(self) -> int:
        return self.missed + self.alarmed

    @property
    def disagreed_percent(self) -> float | None:
        return _percent(self.disagreed, self.compared)


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


@dataclass
class Day:
    """A day of the chart; lengths are percents of its width and of its tallest bar."""

    date: datetime.date
    tally: Tally
    x: float = 0
    height: float = 0


@dataclass
class Period:
    """The last days, today included."""

    days: list[Day]
    total: Tally
    tallest: int

    @property
    def first(self) -> datetime.date:
        return self.days[0].date

    @property
    def last(self) -> datetime.date:
        return self.days[-1].date

    @property
    def middle(self) -> datetime.date:
        return self.days[len(self.days) // 2].date


def _midnight(day: datetime.date) -> datetime.datetime:
    return timezone.make_aware(datetime.datetime.combine(day, datetime.time()))


def _since(first: datetime.date) -> QuerySet[Reading]:
    since: QuerySet[Reading] = Reading.objects.counted().filter(created_at__gte=_midnight(first))
    return since.order_by()


def last_days(days: int = DAYS) -> Period:
    """Counts the readings of each of the last days, in the site's time zone."""
    today = timezone.localdate()
    dates = [today - datetime.timedelta(days=back) for back in range(days - 1, -1, -1)]
    # Each day ends at the midnight after it; a reading belongs to the first that it precedes.
    day_of = Case(
        *(
            When(created_at__lt=_midnight(day + datetime.timedelta(days=1)), then=Value(n))
            for n, day in enumerate(dates)
        ),
        output_field=IntegerField(),
    )
    counted: Any = _since(dates[0]).annotate(day=day_of).values("day", "label", "agreement")
    found = [Day(date=day, tally=Tally()) for day in dates]
    total = Tally()
    for row in counted.annotate(n=Count("pk"), film_bytes=Sum("film_bytes")):
        day = row.pop("day")
        total.add(**row)
        if day is not None:  # a clock that runs ahead
            found[day].tally.add(**row)
    tallest = max(day.tally.n for day in found)
    for n, one in enumerate(found):
        one.x = round(100 * n / days, 3)
        one.height = round(100 * one.tally.n / tallest, 2) if tallest else 0
    return Period(days=found, total=total, tallest=tallest)


def by_doctor(days: int = DAYS) -> dict[str, Any]:
    """Returns the doctors with most readings in the last days, and how many others there are."""
    first = timezone.localdate() - datetime.timedelta(days=days - 1)
    tallies: dict[int, Tally] = {}
    # Grouped by an expression, lest the database walk an index of all readings in that order.
    counted: Any = _since(first).annotate(who=Coalesce("doctor_id", 0))
    for row in counted.values("who", "label", "agreement").annotate(n=Count("pk")):
        tallies.setdefault(row.pop("who"), Tally()).add(**row)
    most = sorted(tallies, key=lambda pk: (-tallies[pk].n, pk))[:MAX_DOCTORS]
    people = User.objects.in_bulk(most)
    return {
        "doctors": [{"doctor": people[pk], "tally": tallies[pk]} for pk in most],
        "others": len(tallies) - len(most),
    }
