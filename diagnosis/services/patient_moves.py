"""Merging and splitting patients, and undoing it: for supervisors.

`PatientOperation.moved` holds what an operation moved:

- `studies`: ids of studies that went to the target as they are;
- `readings`: by id of a reading, the ids of its study before and after; the same for those in
  `studies`;
- `values`: by field of the target that changed, the values before and after.
"""

import datetime
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.audit import recording
from accounts.models import User
from diagnosis.models import Patient, PatientOperation, Reading, Study
from diagnosis.services.linking import lock_number, settle_number

# What a supervisor chooses between when two patients are merged.
FIELDS = ("name", "number", "birth_date", "sex")
Kind = PatientOperation.Kind


class MoveRefusedError(Exception):
    """Raised when patients cannot be merged or split, or an operation cannot be undone.

    Attributes:
        text: why, for the supervisor.
    """

    def __init__(self, text: str | Promise) -> None:
        super().__init__(str(text))
        self.text = text


GONE = _("One of the patients no longer exists or has been merged. Nothing was changed.")


@transaction.atomic
def merge_patients(
    *,
    supervisor: User,
    source_id: uuid.UUID,
    target_id: uuid.UUID,
    from_source: Collection[str] = (),
    reason: str,
) -> PatientOperation:
    """Move all studies of one patient to another, and let its number lead there.

    Args:
        supervisor: who decides it.
        source_id: the patient who turned out to be the other one.
        target_id: the patient who stays.
        from_source: the fields of FIELDS whose value the source has right.
        reason: recorded with the operation and in the audit log.

    Raises:
        PermissionDenied: the account may not oversee readings.
        MoveRefusedError: a patient no longer exists, or both are the same.
    """
    _require_supervisor(supervisor)
    source, target = _locked(source_id), _locked(target_id)
    if source == target:
        raise MoveRefusedError(_("Choose two different patients."))
    studies = list(source.studies.values_list("pk", flat=True))
    values = {
        name: [_plain(getattr(target, name)), _plain(getattr(source, name))]
        for name in FIELDS
        if name in from_source and getattr(target, name) != getattr(source, name)
    }
    moved = {"studies": studies, "readings": _places(studies), "values": values}
    Study.objects.filter(pk__in=studies).update(patient=target)
    source.merged_into = target
    source.save(update_fields=["merged_into"])
    numbers = {source.number_key, target.number_key}
    for name in values:
        setattr(target, name, getattr(source, name))
    target.number_disputed = True  # until the number is settled
    target.checked_at = None
    target.save()
    _settle(numbers | {target.number_key})
    return _recorded(Kind.MERGE, source, target, moved, reason, supervisor)


@transaction.atomic
def split_patient(
    *,
    supervisor: User,
    patient_id: uuid.UUID,
    reading_ids: Collection[uuid.UUID],
    reason: str,
) -> PatientOperation:
    """Move some readings of a patient to a new one, who gets the details of the newest of them.

    Args:
        supervisor: who decides it.
        patient_id: the patient.
        reading_ids: the readings of somebody else.
        reason: recorded with the operation and in the audit log.

    Raises:
        PermissionDenied: the account may not oversee readings.
        MoveRefusedError: the patient no longer exists; no reading is given, or all of the
            patient's, or one of another patient.
    """
    _require_supervisor(supervisor)
    source = _locked(patient_id)
    readings = list(Reading.objects.filter(study__patient=source).defer("activation_map"))
    chosen = [reading for reading in readings if reading.pk in set(reading_ids)]
    if not chosen or len(chosen) == len(readings) or len(chosen) < len(set(reading_ids)):
        raise MoveRefusedError(_("Choose some of the patient's readings, but not all of them."))
    newest = max(chosen, key=lambda reading: (reading.created_at, reading.pk))
    target = Patient.objects.create(
        number=newest.patient_number,
        name=newest.patient_name,
        birth_date=newest.patient_birth_date,
        sex=newest.patient_sex,
        number_disputed=True,  # until the number is settled
    )
    moved = _split_studies(readings, chosen, target)
    _settle({target.number_key})
    return _recorded(Kind.SPLIT, source, target, moved, reason, supervisor)


def _split_studies(
    readings: Collection[Reading], chosen: Collection[Reading], target: Patient
) -> dict[str, Any]:
    """Move whole studies where all readings are chosen, and the readings out of the others."""
    staying = {reading.study_id for reading in readings if reading not in chosen}
    whole = {r.study_id for r in chosen if r.study_id is not None} - staying
    Study.objects.filter(pk__in=whole).update(patient=target)
    places = {str(r.pk): [str(r.study_id)] * 2 for r in chosen if r.study_id in whole}
    shared = [reading for reading in chosen if reading.study_id not in whole]
    copies: dict[Any, Study] = {}
    for study in Study.objects.filter(pk__in={reading.study_id for reading in shared}):
        copies[study.pk] = Study.objects.create(
            patient=target,
            exam_date=study.exam_date,
            instance_uid=study.instance_uid,
            accession_number=study.accession_number,
        )
    for reading in shared:
        copy = copies[reading.study_id]
        places[str(reading.pk)] = [str(reading.study_id), str(copy.pk)]
        Reading.objects.filter(pk=reading.pk).update(study=copy)
    return {"studies": list(whole), "readings": places, "values": {}}


@transaction.atomic
def undo(*, supervisor: User, operation_id: int) -> PatientOperation:
    """Undo a merge or split, unless something has changed since.

    Raises:
        PermissionDenied: the account may not oversee readings.
        PatientOperation.DoesNotExist: there is no such operation any more.
        MoveRefusedError: it is undone already, or something has moved or been added since.
    """
    _require_supervisor(supervisor)
    operations = PatientOperation.objects.select_for_update(of=("self",))
    operation = operations.select_related("source", "target").get(pk=operation_id)
    why = why_not_undoable(operation)
    if why:
        raise MoveRefusedError(why)
    source, target = operation.source, operation.target
    numbers = {source.number_key, target.number_key}
    _move_back(operation)
    if operation.kind == Kind.MERGE:
        _restore_values(target, operation.moved["values"])
        source.merged_into = None
        source.number_disputed = True  # until the number is settled
        source.save()
    else:  # the number of the patient that the split made still leads to the one before
        target.merged_into = source
        target.save(update_fields=["merged_into"])
    _settle(numbers | {target.number_key})
    operation.undone_at, operation.undone_by = timezone.now(), supervisor
    operation.save(update_fields=["undone_at", "undone_by"])
    _record("undone", operation, detail={"operation": operation.pk})
    return operation


def why_not_undoable(operation: PatientOperation) -> str | Promise:
    """Return why an operation cannot be undone now, "" if it can."""
    source, target = operation.source, operation.target
    if operation.undone_at is not None:
        return _("This has been undone already.")
    both = Q(source__in=[source, target]) | Q(target__in=[source, target])
    later = PatientOperation.objects.filter(both, undone_at=None, pk__gt=operation.pk)
    if later.exists():
        return _("One of the patients has been merged or split since. Undo that first.")
    places = operation.moved["readings"]
    now = dict(
        Reading.objects.filter(pk__in=places).values_list("pk", "study_id")
    )  # purged readings are left out
    if any(str(study) != places[str(pk)][1] for pk, study in now.items()):
        return _(
            "A reading that was moved belongs to another patient or study now. Move readings with "
            "a split instead."
        )
    added = Reading.objects.filter(study__patient=target, created_at__gt=operation.at)
    if added.exists():
        return _(
            "X-rays have been added to the patient since, and it is not known whose they are. Move "
            "readings with a split instead."
        )
    return ""


def _move_back(operation: PatientOperation) -> None:
    source, moved = operation.source, operation.moved
    Study.objects.filter(pk__in=moved["studies"], patient=operation.target).update(patient=source)
    for pk, (before, after) in moved["readings"].items():
        if before == after:
            continue
        if Study.objects.filter(pk=before).exists():
            Reading.objects.filter(pk=pk).update(study=before)
        else:  # its other readings have been purged since
            Study.objects.filter(pk=after).update(patient=source)
    Study.objects.filter(patient=operation.target, readings=None).delete()


def _restore_values(target: Patient, values: Mapping[str, list[Any]]) -> None:
    """Set values as they were before, unless they have been changed since."""
    for name, (before, after) in values.items():
        if _plain(getattr(target, name)) == after:
            is_date = name == "birth_date" and before
            setattr(target, name, datetime.date.fromisoformat(before) if is_date else before)
    target.number_disputed = True  # until the number is settled
    target.save()


def _locked(patient_id: uuid.UUID) -> Patient:
    found = Patient.objects.select_for_update(of=("self",)).filter(pk=patient_id).first()
    if found is None or found.is_merged:
        raise MoveRefusedError(GONE)
    lock_number(found.number_key)
    return found


def _places(studies: Collection[uuid.UUID]) -> dict[str, list[str]]:
    rows = Reading.objects.filter(study__in=studies).order_by().values_list("pk", "study_id")
    return {str(pk): [str(study)] * 2 for pk, study in rows}


def _settle(numbers: Collection[str]) -> None:
    for number in sorted(numbers):
        settle_number(number)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _recorded(
    kind: str,
    source: Patient,
    target: Patient,
    moved: dict[str, Any],
    reason: str,
    supervisor: User,
) -> PatientOperation:
    operation = PatientOperation.objects.create(
        kind=kind,
        source=source,
        target=target,
        moved=moved | {"studies": [str(pk) for pk in moved["studies"]]},
        reason=reason,
        by=supervisor,
    )
    what = "merged" if kind == Kind.MERGE else "split"
    _record(what, operation, detail={"operation": operation.pk, "reason": reason})
    return operation


def _record(what: str, operation: PatientOperation, *, detail: dict[str, Any]) -> None:
    """Record an operation in the audit log, where it is found by each reading that it moved."""
    about = f"{operation.source_id} → {operation.target_id}"
    recording.record_shown(
        Reading, list(operation.moved["readings"]), what=what, about=about, detail=detail
    )


def _require_supervisor(user: User) -> None:
    if not user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
