"""A patient's films, and a doctor's recent patients: as far as the user may see them."""

import uuid
from typing import Any

from django.db.models import QuerySet

from diagnosis.models import Patient, Reading

RECENT = 6
# Readings among which the recent patients are looked for.
LOOKED_AT = 120


def films_of(user: Any, patient_id: uuid.UUID) -> QuerySet[Reading]:
    """Return the readings of a patient that `user` may see, the latest exam first.

    The id of a patient who was merged into another leads to the other. A patient of whom the user
    may see nothing has no readings, as one who does not exist.
    """
    patient = Patient.objects.filter(pk=patient_id).first()
    found = patient.survivor().pk if patient is not None else patient_id
    readings = Reading.objects.visible_to(user).with_withheld(user)
    readings = readings.filter(study__patient_id=found)
    return readings.order_by("-exam_date", "-created_at", "-id")


def recent_patients(user: Any, *, limit: int = RECENT) -> list[Reading]:
    """Return the newest reading of each of the doctor's most recent patients, newest first.

    A reading and not the patient, because a doctor is shown what readings say. Its
    `study.patient_id` leads to the patient's page. The page that shows them has to record it.

    Args:
        user: a doctor; the readings of the doctor's teams count too.
        limit: number of patients.
    """
    newest = Reading.objects.worklist_of(user).with_withheld(user).order_by("-created_at", "-id")
    found: dict[object, Reading] = {}
    for reading in newest.select_related("study").defer("activation_map")[:LOOKED_AT]:
        key = reading.study.patient_id if reading.study is not None else reading.pk
        found.setdefault(key, reading)
        if len(found) == limit:
            break
    return list(found.values())
