"""A patient number that the doctor knows under another name.

Only readings that the doctor may see are looked at. What other doctors have read never shows.
"""

import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING

from diagnosis.models import Patient, Reading, Study
from diagnosis.search import number_key
from diagnosis.services.patients import is_same_name, names_of

if TYPE_CHECKING:
    from accounts.models import User

MAX_LOOKED_AT = 200


def readings_with_number(
    doctor: "User", numbers: Collection[str], *, but: uuid.UUID | None = None
) -> tuple[Reading, ...]:
    """Return the newest reading of each name under one of `numbers`, newest first.

    Args:
        doctor: whose readings and teams' readings are looked at.
        numbers: patient numbers; empty strings are ignored.
        but: id of a reading to leave out.
    """
    keys = {number_key(number) for number in numbers} - {""}
    patients = Patient.objects.filter(number_key__in=keys).select_related("merged_into")
    ids = {patient.survivor().pk for patient in patients}
    studies = list(Study.objects.filter(patient__in=ids).values_list("pk", flat=True))
    readings = Reading.objects.worklist_of(doctor).with_withheld(doctor)
    readings = readings.filter(study__in=studies)
    if but is not None:
        readings = readings.exclude(pk=but)
    newest = readings.order_by("-created_at", "-id")
    found: dict[tuple[object, str], Reading] = {}
    for reading in newest.defer("activation_map").select_related("study")[:MAX_LOOKED_AT]:
        # A merge that the doctor has no part in leads here from numbers that the doctor never saw.
        if number_key(reading.patient_number) in keys and reading.study is not None:
            found.setdefault((reading.study.patient_id, reading.patient_name_key), reading)
    return tuple(found.values())


def known_otherwise(readings: Collection[Reading], names: list[str], number: str) -> list[Reading]:
    """Return the readings with this number if all of them are under other names.

    Args:
        readings: what `readings_with_number` returned.
        names: a patient's name, as `names_of`.
        number: the patient's number.
    """
    key = number_key(number)
    same = [each for each in readings if key and number_key(each.patient_number) == key]
    known = [name for each in same for name in names_in(each)]
    return [] if any(is_same_name(one, other) for one in names for other in known) else same


def names_in(reading: Reading) -> list[str]:
    """Return the name in a reading, with those in its file if it is one of them."""
    stated = {} if reading.header_disowned else reading.film_patient or {}
    return names_of(reading.patient_name, stated)
