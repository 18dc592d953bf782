"""Readings with all that their resources need, in a fixed number of queries."""

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from diagnosis.models import Opinion, Reading, Review, Stage


@dataclass(frozen=True)
class Record:
    """A reading as its resources show it.

    Attributes:
        reading: sealed where the model's answer is withheld.
        opinions: the signed opinion and its addenda, oldest first.
    """

    reading: Reading
    opinions: tuple[Opinion, ...]

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
        times = [reading.updated_at, *(opinion.recorded_at for opinion in self.opinions)]
        if reading.answer_shown_at is not None:
            times.append(reading.answer_shown_at)
        review: Review | None = getattr(reading, "review", None)
        if review is not None:
            times.append(review.updated_at)
        return max(times)


def with_parts(readings: QuerySet[Reading]) -> QuerySet[Reading]:
    """Return the readings with what `record_of` uses."""
    signed = Opinion.objects.filter(stage__in=[Stage.SIGNED, Stage.ADDENDUM])
    signed = signed.select_related("author").order_by("recorded_at", "id")
    return (
        readings.select_related("doctor", "model_version", "study__patient", "review")
        .defer("activation_map")
        .prefetch_related(Prefetch("opinions", queryset=signed, to_attr="signed_opinions"))
    )


def record_of(reading: Reading) -> Record:
    """Return the record of a reading that was loaded by `with_parts`."""
    signed: list[Opinion] = getattr(reading, "signed_opinions")  # noqa: B009  # set by Prefetch
    return Record(reading, tuple(signed))


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
