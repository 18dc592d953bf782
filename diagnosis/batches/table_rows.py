"""What the table of a batch shows of each file."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Max
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnosis.batches.ending import is_ending, kept_until
from diagnosis.batches.texts import problem_text
from diagnosis.forms.readings import BatchItemForm, stated_fields
from diagnosis.models import (
    IN_INBOX,
    MAX_AGE_YEARS,
    MOVING,
    Batch,
    BatchItem,
    ItemState,
    Reading,
    Sex,
)
from diagnosis.models.discrepancies import LABELS
from diagnosis.services.patients import DATES, FIELDS

EDITABLE = (ItemState.NEEDS_DATA, ItemState.UNDECIDED)


@dataclass(frozen=True)
class Cell:
    """An input of the table.

    Attributes:
        name: the field of the form.
        value: what was entered or what the file states; for the exam date, today.
        is_stated: whether the file states it.
        errors: what is wrong with it.
    """

    name: str
    label: str
    value: str
    is_stated: bool = False
    errors: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        if self.name in DATES:
            return "date"
        return "number" if self.name == "patient_age_years" else "text"

    @property
    def choices(self) -> list[tuple[str, str]]:
        if self.name != "patient_sex":
            return []
        return [("", _("Not stated")), *((str(sex), str(sex.label)) for sex in Sex)]

    @property
    def maximum(self) -> str:
        if self.name in DATES:
            return timezone.localdate().isoformat()
        return str(MAX_AGE_YEARS) if self.kind == "number" else ""


@dataclass(frozen=True)
class Row:
    """A file of a batch as its doctor sees it.

    Attributes:
        cells: inputs for the patient's data, while they may be changed.
        problem: why it is not read, in the active language.
        reading: the reading, unless it was deleted; without its result while that is withheld.
        kept_until: until when it waits for its doctor; None if it does not.
    """

    item: BatchItem
    cells: tuple[Cell, ...] = ()
    problem: str = ""
    reading: Reading | None = None
    kept_until: datetime.datetime | None = None
    is_ending: bool = False

    @property
    def stamp(self) -> str:
        """What changes whenever the row does."""
        return f"{self.item.changed_at.timestamp():.6f}"


@dataclass(frozen=True)
class Summary:
    """How many files of a batch there are, by state.

    Attributes:
        moving: wait to be read or are being read.
        inbox: wait for patient data or a decision.
        stopped: were cancelled or removed.
        changed_at: when the last of them changed.
    """

    total: int = 0
    moving: int = 0
    inbox: int = 0
    done: int = 0
    failed: int = 0
    stopped: int = 0
    changed_at: datetime.datetime | None = None

    @property
    def percent(self) -> int:
        return round(100 * (self.total - self.moving) / self.total) if self.total else 0


def rows_of(items: Iterable[BatchItem], *, user: Any) -> list[Row]:
    """Return the rows of files of `user`, who sees them; without results that are withheld."""
    chosen = list(items)
    keys = [item.reading_id for item in chosen if item.reading_id is not None]
    own = Reading.objects.own_of(user).with_withheld(user).defer("activation_map")
    readings: dict[Any, Reading] = {reading.pk: reading for reading in own.filter(pk__in=keys)}
    return [_row(item, readings.get(item.reading_id)) for item in chosen]


def _row(item: BatchItem, reading: Reading | None) -> Row:
    return Row(
        item=item,
        cells=_cells(item) if item.state in EDITABLE else (),
        problem=problem_text(item.problem),
        reading=reading,
        kept_until=kept_until(item) if item.state in IN_INBOX else None,
        is_ending=is_ending(item),
    )


def shown_values(item: BatchItem) -> dict[str, str]:
    """Return what the inputs of a file contain at first, by field."""
    stated = stated_fields(item.stated or {})
    today = {"exam_date": timezone.localdate().isoformat()}
    return {name: item.entered.get(name) or stated.get(name) or today.get(name, "")
            for name in FIELDS}  # fmt: skip


def _cells(item: BatchItem) -> tuple[Cell, ...]:
    stated, errors = stated_fields(item.stated or {}), _errors(item)
    return tuple(
        Cell(
            name=name,
            label=str(LABELS[name]),
            value=value,
            is_stated=bool(value) and stated.get(name) == value,
            errors=errors.get(name, ()),
        )
        for name, value in shown_values(item).items()
    )


def _errors(item: BatchItem) -> dict[str, tuple[str, ...]]:
    """Return what is wrong with the data; nothing before anybody has stated any."""
    if not item.entered and not item.stated:
        return {}
    form = BatchItemForm(shown_values(item), stated=item.stated or {})
    return {name: tuple(map(str, errors)) for name, errors in form.errors.items()}


def summary_of(batch: Batch) -> Summary:
    """Count the files of a batch."""
    states = batch.items.order_by().values_list("state")
    counts = list(states.annotate(n=Count("pk"), last=Max("changed_at")))
    last = max((last for _state, _n, last in counts), default=batch.created_at)
    return replace(_summary({state: n for state, n, _last in counts}), changed_at=last)


def summaries(batches: Iterable[Batch]) -> dict[Any, Summary]:
    """Count the files of several batches, in one query."""
    found: dict[Any, dict[str, int]] = {batch.pk: {} for batch in batches}
    rows = BatchItem.objects.filter(batch__in=list(found)).order_by()
    for key, state, count in rows.values_list("batch", "state").annotate(n=Count("pk")):
        found[key][state] = count
    return {key: _summary(states) for key, states in found.items()}


def _summary(states: dict[str, int]) -> Summary:
    def count(*wanted: ItemState) -> int:
        return sum(states.get(state, 0) for state in wanted)

    return Summary(
        total=sum(states.values()),
        moving=count(*MOVING),
        inbox=count(*IN_INBOX),
        done=count(ItemState.DONE),
        failed=count(ItemState.FAILED),
        stopped=count(ItemState.CANCELLED, ItemState.EXPIRED),
    )
