"""Readings with all that their resources need, in a fixed number of queries."""

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from diagnosis.models import Opinion, Reading, Stage

OWN = (Stage.SIGNED, Stage.ADDENDUM)
FURTHER = (Stage.SECOND, Stage.ARBITER)


@dataclass(frozen=True)
class Record:
    """A reading as its resources show it.

    Attributes:
        reading: sealed where the model's answer is withheld.
        opinions: the doctor's signed opinion and its addenda, oldest first.
        further: the second reader's opinion and the arbiter's decision, if there are any.
    """

    reading: Reading
    opinions: tuple[Opinion, ...]
    further: tuple[Opinion, ...] = ()

    @property
    def key(self) -> str:
        """The id of the reading's resources."""
        return str(self.reading.pk)

    @property
    def patient_key(self) -> str:
        """The id of the patient's resource."""
        study = self.reading.study
        return str(study.patient_id if study else self.reading.pk)

    @property
    def is_signed(self) -> bool:
        return bool(self.opinions)

    @property
    def has_answer(self) -> bool:
        """Whether what the model said may be shown, be it that the film is out of scope."""
        return not self.reading.is_sealed

    @property
    def changed_at(self) -> datetime.datetime:
        """When anything that the resources show was last changed."""
        reading = self.reading
        opinions = (*self.opinions, *self.further)
        times = [reading.updated_at, *(opinion.recorded_at for opinion in opinions)]
        if reading.answer_shown_at is not None:
            times.append(reading.answer_shown_at)
        return max(times)


def with_parts(readings: QuerySet[Reading]) -> QuerySet[Reading]:
    """Return the readings with what `record_of` uses."""
    signed = Opinion.objects.filter(stage__in=[*OWN, *FURTHER])
    signed = signed.select_related("author").order_by("recorded_at", "id")
    return (
        readings.select_related("doctor", "model_version", "study__patient")
        .defer("activation_map")
        .prefetch_related(Prefetch("opinions", queryset=signed, to_attr="signed_opinions"))
    )


def record_of(reading: Reading) -> Record:
    """Return the record of a reading that was loaded by `with_parts`.

    Whoever may still become the second reader sees no opinion of the first.
    """
    if reading.is_sealed:
        return Record(reading, ())
    signed: list[Opinion] = getattr(reading, "signed_opinions")  # noqa: B009  # set by Prefetch
    own = tuple(each for each in signed if each.stage in OWN)
    return Record(reading, own, tuple(each for each in signed if each.stage in FURTHER))


def records(readings: Iterable[Reading]) -> list[Record]:
    """Return the records of readings that were loaded by `with_parts`."""
    return [record_of(reading) for reading in readings]


def stored_record(reading_id: uuid.UUID) -> Record | None:
    """Return a stored reading's record for another system, or None if it was purged.

    What the reading's doctor may not see yet does not leave by another way either.
    """
    rows: Any = Reading.objects.filter(pk=reading_id)
    reading = with_parts(rows).first()
    if reading is None:
        return None
    if reading.withheld:
        reading.seal()
    return record_of(reading)
