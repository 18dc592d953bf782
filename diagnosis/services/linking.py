"""Which patient and study a reading belongs to.

A number leads to a patient if the names agree, whichever doctor wrote them. If they do not, two
patients have the same number: the second row is marked as disputed, and supervisors are shown both.
The doctor learns nothing about the other patient. Without a number, a reading is a patient of its
own.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Collection

from django.db import connection
from django.db.models import QuerySet

from diagnosis.models import Patient, PatientOperation, Reading, Study
from diagnosis.search import number_key
from diagnosis.services.conflicts import Decisions
from diagnosis.services.patients import ACCESSION_NUMBER, STUDY_UID, is_same_name
from diagnosis.services.same_number import MAX_LOOKED_AT, known_otherwise, names_in


def link(reading: Reading, *, same_as: Reading | None = None, is_other: bool = False) -> None:
    """Set the reading's study to one of its patient, creating what does not exist yet.

    The reading itself is not saved. Call it in the transaction that saves it, and
    `forget_if_empty` for its earlier study afterwards.

    Args:
        reading: a reading with its new details.
        same_as: a reading of the same patient, as the doctor decided.
        is_other: the doctor decided that this is another patient than those with this number whom
            the doctor knows.
    """
    key = number_key(reading.patient_number)
    lock_number(key)
    if same_as is not None and same_as.study is not None:
        patient = same_as.study.patient.survivor()
    elif not key:
        patient = _without_number(reading)
    else:
        patient = _with_number(reading, key, is_other=is_other)
    _complete(patient, reading)
    reading.study = _study_of(reading, patient)


def link_as_decided(
    reading: Reading, same_number: Collection[Reading], decisions: Decisions
) -> None:
    """Set the reading's study, as `link`, as its doctor decided.

    Args:
        reading: a reading with its new details.
        same_number: the readings with its number that the doctor was shown.
        decisions: what the doctor decided.
    """
    known = known_otherwise(same_number, names_in(reading), reading.patient_number)
    same_as = decisions.same_patient(known)
    link(reading, same_as=same_as, is_other=bool(known) and same_as is None)


def lock_number(key: str) -> None:
    """Block other transactions from linking readings with the same number until this one ends.

    Does nothing on SQLite, whose IMMEDIATE transactions exclude each other anyway.
    """
    if key and connection.vendor == "postgresql":
        digest = hashlib.sha256(f"patient number {key}".encode()).digest()
        with connection.cursor() as cursor:
            lock = int.from_bytes(digest[:8], "big", signed=True)
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])


def forget_if_empty(study: Study | None) -> None:
    """Delete a study without readings, and its patient with all its details without studies.

    A deleted reading that has not been purged still counts.
    """
    if study is None or Reading.objects.filter(study_id=study.pk).exists():
        return
    patient_id = study.patient_id
    Study.objects.filter(pk=study.pk).delete()
    if not Study.objects.filter(patient_id=patient_id).exists():
        forget(patient_id)


def forget(patient_id: uuid.UUID) -> None:
    """Delete a patient without studies, those merged into it, and their merges and splits."""
    ids, found = [patient_id], [patient_id]
    while found:
        merged = Patient.objects.filter(merged_into__in=found)
        found = list(merged.values_list("pk", flat=True))
        ids += found
    keys = set(Patient.objects.filter(pk__in=ids).values_list("number_key", flat=True))
    PatientOperation.objects.filter(source__in=ids).delete()
    PatientOperation.objects.filter(target__in=ids).delete()
    Patient.objects.filter(pk__in=ids).delete()
    for key in keys:
        settle_number(key)


def settle_number(key: str) -> None:
    """Let exactly one of the patients with a number hold it: who holds it, otherwise the first."""
    if not key:
        return
    live = Patient.objects.filter(number_key=key, merged_into=None)
    holder = live.order_by("number_disputed", "created_at", "id").first()
    if holder is not None:
        live.exclude(pk=holder.pk).filter(number_disputed=False).update(number_disputed=True)
        live.filter(pk=holder.pk, number_disputed=True).update(number_disputed=False)


def holder_of(key: str) -> Patient | None:
    """Return the patient who holds a number."""
    held = Patient.objects.filter(number_key=key, number_disputed=False, merged_into=None)
    return held.first() if key else None


def _without_number(reading: Reading) -> Patient:
    """Return the reading's patient if it is the only reading, or one of several without a number.

    Readings without a number have one patient only after a merge.
    """
    current = _current(reading)
    if current is None:
        return _created(reading)
    is_alone = not _others(current, reading).exists()
    is_same = not current.number_key and is_same_name(current.name, reading.patient_name)
    return current if is_alone or is_same else _created(reading)


def _with_number(reading: Reading, key: str, *, is_other: bool) -> Patient:
    current = _current(reading)
    candidates = list(Patient.objects.filter(number_key=key).order_by("created_at", "id"))
    names, own = _names_of(candidates), names_in(reading)
    matching = [
        patient.survivor()
        for patient in candidates
        if any(is_same_name(one, other) for one in names[patient.pk] for other in own)
    ]
    if current in matching:
        return current
    if matching:
        return min(matching, key=lambda patient: patient.number_disputed)
    if current is not None and not is_other and not _others(current, reading).exists():
        return current  # the only reading of its patient: the patient is corrected with it
    return _created(reading)


def _current(reading: Reading) -> Patient | None:
    return reading.study.patient.survivor() if reading.study is not None else None


def _others(patient: Patient, reading: Reading) -> QuerySet[Reading]:
    return Reading.objects.filter(study__patient=patient).exclude(pk=reading.pk)


def _names_of(patients: list[Patient]) -> dict[object, set[str]]:
    """Return the names that patients are known by: their rows', and those in their readings."""
    names: dict[object, set[str]] = defaultdict(set)
    for patient in patients:
        names[patient.pk].add(patient.name)
    live = [patient.pk for patient in patients if not patient.is_merged]
    written = Reading.objects.filter(study__patient__in=live).order_by("-created_at")
    fields = ("patient_name", "film_patient", "header_disowned", "study__patient_id")
    for reading in written.select_related("study").only(*fields)[:MAX_LOOKED_AT]:
        if reading.study is not None:
            names[reading.study.patient_id].update(names_in(reading))
    return names


def _created(reading: Reading) -> Patient:
    key = number_key(reading.patient_number)
    return Patient.objects.create(
        number=reading.patient_number,
        name=reading.patient_name,
        birth_date=reading.patient_birth_date,
        sex=reading.patient_sex,
        number_disputed=holder_of(key) is not None,
    )


def _complete(patient: Patient, reading: Reading) -> None:
    """Copy the details of the patient's only reading, or fill in what no reading has stated yet."""
    before = (patient.number, patient.name, patient.birth_date, patient.sex)
    if _others(patient, reading).exists():
        patient.birth_date = patient.birth_date or reading.patient_birth_date
        patient.sex = patient.sex or reading.patient_sex
    else:
        key = number_key(reading.patient_number)
        if key != patient.number_key:
            patient.number_disputed = holder_of(key) is not None
        patient.number, patient.name = reading.patient_number, reading.patient_name
        patient.birth_date = reading.patient_birth_date
        patient.sex = reading.patient_sex
    if before != (patient.number, patient.name, patient.birth_date, patient.sex):
        patient.save()
        settle_number(number_key(before[0]))


def _study_of(reading: Reading, patient: Patient) -> Study:
    """Return the study by the file's Study Instance UID, otherwise by exam date and accession."""
    stated = {} if reading.header_disowned else reading.film_patient or {}
    uid = str(stated.get(STUDY_UID, ""))[:64]
    accession = str(stated.get(ACCESSION_NUMBER, ""))[:64]
    studies = patient.studies.order_by("created_at", "id")
    if uid:
        found = studies.filter(instance_uid=uid).first()
    else:
        found = studies.filter(
            instance_uid="", exam_date=reading.exam_date, accession_number=accession
        ).first()
    if found is not None:
        if found.exam_date != reading.exam_date and _is_alone(found, reading):
            found.exam_date = reading.exam_date
            found.save(update_fields=["exam_date"])
        return found
    current = reading.study
    if current is not None and current.patient_id == patient.pk and _is_alone(current, reading):
        current.exam_date = reading.exam_date
        current.instance_uid, current.accession_number = uid, accession
        current.save(update_fields=["exam_date", "instance_uid", "accession_number"])
        return current
    return Study.objects.create(
        patient=patient,
        exam_date=reading.exam_date,
        instance_uid=uid,
        accession_number=accession,
    )


def _is_alone(study: Study, reading: Reading) -> bool:
    return not Reading.objects.filter(study=study).exclude(pk=reading.pk).exists()
