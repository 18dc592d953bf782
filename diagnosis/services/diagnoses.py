"""Recording the diagnosis that was confirmed after a film was read."""

import datetime
import uuid
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.audit import recording
from diagnosis import blind
from diagnosis.models import Reading
from diagnosis.models.opinion import ConfirmedDiagnosis, Diagnosis, DiagnosisSource

if TYPE_CHECKING:
    from accounts.models import User

FIELDS = ("value", "source", "detail", "confirmed_on")


class NotYetError(Exception):
    """Raised when a diagnosis would be recorded before the doctor's first opinion."""


@transaction.atomic
def confirm_diagnosis(
    *,
    by: "User",
    reading_id: uuid.UUID,
    value: Diagnosis | str,
    source: DiagnosisSource | str,
    confirmed_on: datetime.date,
    detail: str = "",
) -> ConfirmedDiagnosis:
    """Record the confirmed diagnosis of a reading that `by` may see, replacing an earlier one.

    Args:
        by: the reading's doctor or a supervisor.
        reading_id: the reading.
        value: the diagnosis.
        source: what confirmed it.
        confirmed_on: when it was confirmed.
        detail: a few words, such as the organism.

    Raises:
        Reading.DoesNotExist: `by` may not see such a reading.
        NotYetError: the reading is blind-first and still has no opinion.
        ValueError: value or source is unknown.
    """
    new = {
        "value": str(Diagnosis(value)),
        "source": str(DiagnosisSource(source)),
        "detail": detail,
        "confirmed_on": confirmed_on,
    }
    reading = Reading.objects.visible_to(by).select_for_update(of=("self",)).get(pk=reading_id)
    if blind.withheld_from(reading, by):
        raise NotYetError
    found = ConfirmedDiagnosis.objects.filter(reading=reading).first()
    stored = found or ConfirmedDiagnosis(reading=reading)
    changes = {
        name: [str(getattr(stored, name) or "") if found else "", str(new[name])]
        for name in FIELDS
        if not found or getattr(stored, name) != new[name]
    }
    if not changes:
        return stored
    for name, each in new.items():
        setattr(stored, name, each)
    stored.recorded_by = by
    stored.save()
    recording.record_change(reading, what="diagnosis-confirmed", changes=changes)
    return stored
