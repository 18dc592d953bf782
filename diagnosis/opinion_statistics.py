"""How doctors, the model, and both together compare with a reference.

Docs: docs/statistics.md. A verdict or label is pneumonia (PNEUMONIA), no pneumonia (NORMAL, OTHER),
or undecided (CANNOT_TELL, UNSURE, OUT_OF_SCOPE).
"""

import datetime
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, F, FilteredRelation, Q, QuerySet
from django.utils import timezone

from diagnosis.models import Label, Opinion, Reading, SecondState, Stage, Verdict
from mlcore.engine import metrics

PERIODS = {"30": 30, "90": 90, "365": 365, "all": None}
DEFAULT_PERIOD = "365"
# A page that was open for longer was left, so its time says nothing.
MAX_SECONDS = 3600


@dataclass(frozen=True)
class Row:
    """Equal readings: what was said about them, "" where nothing was, and how many there are."""

    label: str
    first: str
    final: str
    diagnosis: str
    n: int


Judge = Callable[[Row], str]


def is_pneumonia(said: str) -> bool | None:
    """Return whether a verdict, label or diagnosis is pneumonia; None if it is undecided or ""."""
    if said == Verdict.PNEUMONIA:
        return True
    return False if said in (Verdict.NORMAL, Verdict.OTHER) else None


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval; None where the data do not define it.

    Attributes:
        part: the films counted, for a proportion.
        n: of so many films.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    part: int = 0

    @property
    def percents(self) -> dict[str, float] | None:
        """Value and interval in percent; None if undefined."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return {"value": 100 * self.value, "low": 100 * self.low, "high": 100 * self.high}


def _defined(number: float) -> float | None:
    return None if math.isnan(number) else number


def _figure(value: float, interval: tuple[float, float], n: int, part: int = 0) -> Figure:
    low, high = (_defined(limit) for limit in interval)
    return Figure(_defined(value), low, high, n=n, part=part)


def proportion(part: int, n: int) -> Figure:
    """Return a proportion with Wilson's interval; undefined without films."""
    return _figure(part / n if n else math.nan, metrics.wilson_interval(part, n), n, part)


@dataclass
class Accuracy:
    """A judge against a reference.

    Attributes:
        name: "doctor", "model" or "combined".
        undecided: films on which the judge did not decide; they are in no other figure.
    """

    name: str
    tp: int = 0
    fn: int = 0
    fp: int = 0
    tn: int = 0
    undecided: int = 0

    @property
    def n(self) -> int:
        return self.tp + self.fn + self.fp + self.tn

    @property
    def sensitivity(self) -> Figure:
        return proportion(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Figure:
        return proportion(self.tn, self.tn + self.fp)


@dataclass
class Agreement:
    """Two judges of the same films.

    Attributes:
        name: "doctor-model", "final-model", "doctor-final" or "first-second".
        table: counts by the first judge (row) and the second (column): pneumonia, no pneumonia.
    """

    name: str
    table: list[list[int]] = field(default_factory=lambda: [[0, 0], [0, 0]])

    @property
    def n(self) -> int:
        return sum(map(sum, self.table))

    @property
    def agreed(self) -> Figure:
        return proportion(self.table[0][0] + self.table[1][1], self.n)

    @property
    def kappa(self) -> Figure:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", metrics.UndefinedMetricWarning)
            value, interval = metrics.cohens_kappa(self.table)
        return _figure(value, interval, self.n)


@dataclass
class Changes:
    """What became of first opinions after the model's result was shown.

    Attributes:
        n: blind-first films with a decided first and final opinion.
        changed: those whose opinion changed.
        to_model, from_model: those that changed to the model's result, and away from it.
        right, wrong: by the confirmed diagnosis, films whose first opinion was right or wrong.
        spoiled: first right, final wrong. corrected: first wrong, final right.
    """

    n: int = 0
    changed: int = 0
    to_model: int = 0
    from_model: int = 0
    right: int = 0
    spoiled: int = 0
    wrong: int = 0
    corrected: int = 0

    @property
    def changed_share(self) -> Figure:
        return proportion(self.changed, self.n)

    @property
    def spoiled_share(self) -> Figure:
        return proportion(self.spoiled, self.right)

    @property
    def corrected_share(self) -> Figure:
        return proportion(self.corrected, self.wrong)


@dataclass(frozen=True)
class Times:
    """Seconds from opening a film to an opinion; the median, and how many were left out."""

    stage: str
    median: Figure
    too_long: int


@dataclass
class Arbitration:
    """Second readings and what arbiters decided.

    Attributes:
        n: films read by two doctors.
        differed: those on which their assessments differed.
        decided: those that an arbiter has decided.
        for_first, for_second: with the assessment of the first and of the second doctor.
    """

    n: int = 0
    differed: int = 0
    decided: int = 0
    for_first: int = 0
    for_second: int = 0

    @property
    def differed_share(self) -> Figure:
        return proportion(self.differed, self.n)


@dataclass(frozen=True)
class Statistics:
    """Everything that the statistics page shows."""

    against_diagnosis: list[Accuracy]
    against_final: list[Accuracy]
    agreements: list[Agreement]
    arbitration: Arbitration
    changes: Changes
    times: list[Times]
    films: int


JUDGES: dict[str, Judge] = {
    "doctor": lambda row: row.first,
    "model": lambda row: row.label,
    "combined": lambda row: row.final,
}


def accuracy(name: str, rows: Iterable[Row], *, reference: Judge) -> Accuracy:
    """Compare a judge with a reference, on the films of which both said something."""
    found, judge = Accuracy(name), JUDGES[name]
    for row in rows:
        truth, said = is_pneumonia(reference(row)), judge(row)
        if truth is None or not said:
            continue
        called = is_pneumonia(said)
        if called is None:
            found.undecided += row.n
        elif truth:
            found.tp += row.n if called else 0
            found.fn += 0 if called else row.n
        else:
            found.fp += row.n if called else 0
            found.tn += 0 if called else row.n
    return found


def agreement(name: str, rows: Iterable[Row], one: Judge, other: Judge) -> Agreement:
    """Count how two judges decided on the films on which both did."""
    found = Agreement(name)
    for row in rows:
        first, second = is_pneumonia(one(row)), is_pneumonia(other(row))
        if first is not None and second is not None:
            found.table[0 if first else 1][0 if second else 1] += row.n
    return found


def changes(rows: Iterable[Row]) -> Changes:
    """Count how first opinions changed once the model's result was shown."""
    found = Changes()
    for row in rows:
        first, final = is_pneumonia(row.first), is_pneumonia(row.final)
        if first is None or final is None:
            continue
        model, truth = is_pneumonia(row.label), is_pneumonia(row.diagnosis)
        found.n += row.n
        if first != final:
            found.changed += row.n
            found.to_model += row.n if final == model else 0
            found.from_model += row.n if first == model else 0
        if truth is not None and first == truth:
            found.right += row.n
            found.spoiled += row.n if final != truth else 0
        elif truth is not None:
            found.wrong += row.n
            found.corrected += row.n if final == truth else 0
    return found


def of(readings: QuerySet[Reading], period: str = DEFAULT_PERIOD) -> Statistics:
    """Return the statistics of readings whose result is not withheld.

    Args:
        readings: one doctor's, or all that are counted.
        period: a key of `PERIODS`, the days before now in which the film was read.
    """
    readings = readings.filter(withheld=False).order_by()
    days = PERIODS[period]
    if days is not None:
        readings = readings.filter(created_at__gte=timezone.now() - datetime.timedelta(days=days))
    rows, twice = _rows(readings), _read_twice(readings)
    return Statistics(
        against_diagnosis=[
            accuracy(name, rows, reference=lambda row: row.diagnosis) for name in JUDGES
        ],
        against_final=[
            accuracy(name, rows, reference=lambda row: row.final) for name in ("doctor", "model")
        ],
        agreements=[
            agreement("doctor-model", rows, JUDGES["doctor"], JUDGES["model"]),
            agreement("final-model", rows, JUDGES["combined"], JUDGES["model"]),
            agreement("doctor-final", rows, JUDGES["doctor"], JUDGES["combined"]),
            *([_two_readers(twice)] if twice else []),
        ],
        arbitration=_arbitration(twice),
        changes=changes(rows),
        times=[_times(readings, stage) for stage in (Stage.FIRST, Stage.SIGNED)],
        films=sum(row.n for row in rows),
    )


def _rows(readings: QuerySet[Reading]) -> list[Row]:
    """Return the readings with an opinion or a diagnosis, equal ones counted together."""
    first = FilteredRelation(
        "opinions",
        condition=Q(opinions__stage=Stage.FIRST, opinions__author=F("doctor")),
    )
    signed = FilteredRelation("review", condition=Q(review__signed_at__isnull=False))
    told: Any = readings.annotate(first=first, signed=signed).filter(
        Q(first__isnull=False) | Q(signed__isnull=False) | Q(diagnosis__isnull=False)
    )
    names = ("label", "first__verdict", "signed__verdict", "diagnosis__value")
    grouped = told.values_list(*names).annotate(n=Count("pk")).order_by()
    return [
        Row(label, first or "", final or "", diagnosis or "", n)
        for label, first, final, diagnosis, n in grouped
    ]


def _read_twice(readings: QuerySet[Reading]) -> list[dict[str, str]]:
    """Return what was said, by stage, about each film that two doctors have read."""
    twice = readings.filter(second_state__in=(SecondState.SPLIT, SecondState.DONE))
    said: dict[Any, dict[str, str]] = {}
    found = Opinion.objects.filter(reading__in=twice).exclude(stage=Stage.ADDENDUM).order_by()
    for reading, stage, verdict in found.values_list("reading_id", "stage", "verdict"):
        said.setdefault(reading, {})[stage] = verdict
    return [each for each in said.values() if {Stage.SIGNED, Stage.SECOND} <= each.keys()]


def _two_readers(verdicts: list[dict[str, str]]) -> Agreement:
    """Compare the signed opinions with the second ones, which knew neither them nor the model."""
    found = Agreement("first-second")
    for said in verdicts:
        first, second = is_pneumonia(said[Stage.SIGNED]), is_pneumonia(said[Stage.SECOND])
        if first is not None and second is not None:
            found.table[0 if first else 1][0 if second else 1] += 1
    return found


def _arbitration(verdicts: list[dict[str, str]]) -> Arbitration:
    found = Arbitration()
    for said in verdicts:
        first, second, arbiter = (
            said.get(stage) for stage in (Stage.SIGNED, Stage.SECOND, Stage.ARBITER)
        )
        found.n += 1
        found.differed += first != second
        found.decided += arbiter is not None
        found.for_first += arbiter is not None and arbiter == first
        found.for_second += arbiter is not None and arbiter == second
    return found


def _times(readings: QuerySet[Reading], stage: Stage) -> Times:
    """Return the times of films whose signed opinion was the first, or of first opinions."""
    opinions = Opinion.objects.filter(reading__in=readings, stage=stage, seconds__isnull=False)
    if stage == Stage.SIGNED:
        opinions = opinions.filter(reading__blind_first=False)
    stored = opinions.order_by().values_list("seconds", flat=True)
    seconds = [each for each in stored if each is not None]
    kept = [each for each in seconds if each <= MAX_SECONDS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", metrics.UndefinedMetricWarning)
        median, interval = metrics.median_interval(kept)
    return Times(stage, _figure(median, interval, len(kept)), len(seconds) - len(kept))


__all__ = ["DEFAULT_PERIOD", "PERIODS", "Label", "Statistics", "of"]
