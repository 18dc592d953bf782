"""Counts of readings per day and per doctor, without patients or deleted readings."""

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
class ReadingCounts:
    """Numbers of readings by model result, and by agreement with the doctors' assessments.

    Attributes:
        labels: readings by `Label`.
        agreements: readings by (`Agreement`, `Label`), where doctor and model both chose normal or
            pneumonia.
        film_bytes: total size of the uploaded files.
    """

    labels: Counter[str] = field(default_factory=Counter)
    agreements: Counter[tuple[str, str]] = field(default_factory=Counter)
    film_bytes: int = 0

    def add(self, *, label: str, agreement: str, n: int, film_bytes: int = 0) -> None:
        """Add `n` readings with this label and agreement."""
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
        """Percentage of inconclusive results; None without readings."""
        return _percent(self.unsure, self.n)

    @property
    def out_of_scope_percent(self) -> float | None:
        """Percentage of out-of-scope results; None without readings."""
        return _percent(self.out_of_scope, self.n)

    @property
    def compared(self) -> int:
        """Readings for which both model and doctor chose normal or pneumonia."""
        return self.agreements.total()

    @property
    def false_negatives(self) -> int:
        """Compared readings with model result normal and doctor's assessment pneumonia."""
        return self.agreements[Agreement.DISAGREE, Label.NORMAL]

    @property
    def false_positives(self) -> int:
        """Compared readings with model result pneumonia and doctor's assessment normal."""
        return self.agreements[Agreement.DISAGREE, Label.PNEUMONIA]

    @property
    def disagreements(self) -> int:
        return self.false_negatives + self.false_positives

    @property
    def disagreements_percent(self) -> float | None:
        """Percentage of disagreements among the compared readings; None without any."""
        return _percent(self.disagreements, self.compared)


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


@dataclass
class Day:
    """One bar of the chart of readings per day.

    Attributes:
        date: the day in the site's time zone.
        counts: its readings.
        x: left edge of the bar, in percent of the chart's width.
        height: height of the bar, in percent of the highest one.
    """

    date: datetime.date
    counts: ReadingCounts
    x: float = 0
    height: float = 0


@dataclass
class Period:
    """The readings of the last days, today included.

    Attributes:
        days: oldest first.
        total: the readings of all days together.
        peak: most readings on one day.
        assessed: readings with a doctor's own assessment, by the model's `Label`.
    """

    days: list[Day]
    total: ReadingCounts
    peak: int
    assessed: Counter[str] = field(default_factory=Counter)

    @property
    def assessed_n(self) -> int:
        return self.assessed.total()

    @property
    def assessed_percent(self) -> float | None:
        """Percentage of readings with a doctor's assessment; None without readings."""
        return _percent(self.assessed_n, self.total.n)

    @property
    def assessed_without_label(self) -> int:
        """Assessed readings to which the model gave no label: nothing is compared in them."""
        return self.assessed[Label.UNSURE] + self.assessed[Label.OUT_OF_SCOPE]

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
    """Return the readings since a day, to be grouped by `result` and `compared`.

    These are label and agreement as expressions: grouped by the columns themselves, a database may
    walk through an index of all readings to save sorting those of the period.
    """
    since: QuerySet[Reading] = Reading.objects.counted().filter(created_at__gte=_midnight(first))
    result, compared = Coalesce("label", Value("")), Coalesce("agreement", Value(""))
    return since.order_by().annotate(result=result, compared=compared)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ReadingCounts.add` from a row grouped by `_since`'s expressions."""
    label, agreement = row.pop("result"), row.pop("compared")
    return {"label": label, "agreement": agreement, **row}


def last_days(days: int = DAYS) -> Period:
    """Count the readings of each of the last days, in the site's time zone.

    Args:
        days: number of days, today included.
    """
    today = timezone.localdate()
    dates = [today - datetime.timedelta(days=back) for back in range(days - 1, -1, -1)]
    # A reading belongs to the first day whose midnight follows it.
    day_index = Case(
        *(
            When(created_at__lt=_midnight(day + datetime.timedelta(days=1)), then=Value(n))
            for n, day in enumerate(dates)
        ),
        output_field=IntegerField(),
    )
    grouped: Any = _since(dates[0]).annotate(day=day_index).values("day", "result", "compared")
    chart = [Day(date=day, counts=ReadingCounts()) for day in dates]
    total = ReadingCounts()
    for row in grouped.annotate(n=Count("pk"), film_bytes=Sum("film_bytes")):
        day, counted = row.pop("day"), _renamed(row)
        total.add(**counted)
        if day is not None:  # None for a reading dated after today, from a clock that is ahead
            chart[day].counts.add(**counted)
    peak = max(day.counts.n for day in chart)
    for n, bar in enumerate(chart):
        bar.x = round(100 * n / days, 3)
        bar.height = round(100 * bar.counts.n / peak, 2) if peak else 0
    reviewed: Any = _since(dates[0]).filter(review__isnull=False)
    rows = reviewed.values("result").annotate(n=Count("pk"))
    assessed = Counter({row["result"]: row["n"] for row in rows})
    return Period(days=chart, total=total, peak=peak, assessed=assessed)


def by_doctor(days: int = DAYS) -> dict[str, Any]:
    """Count the readings of the last days for each doctor.

    Args:
        days: number of days, today included.

    Returns:
        `doctors`: `doctor` and `counts` of the `MAX_DOCTORS` doctors with most readings, most
        first. `others`: number of further doctors.
    """
    first = timezone.localdate() - datetime.timedelta(days=days - 1)
    counts: dict[int, ReadingCounts] = {}
    grouped: Any = _since(first).annotate(who=Coalesce("doctor_id", 0))
    for row in grouped.values("who", "result", "compared").annotate(n=Count("pk")):
        counts.setdefault(row.pop("who"), ReadingCounts()).add(**_renamed(row))
    most = sorted(counts, key=lambda pk: (-counts[pk].n, pk))[:MAX_DOCTORS]
    doctors = User.objects.in_bulk(most)
    return {
        "doctors": [{"doctor": doctors[pk], "counts": counts[pk]} for pk in most],
        "others": len(counts) - len(most),
    }
