"""Patients, studies and readings: every reading has a study, and no patient is without readings."""

from collections.abc import Iterator

from django.db import transaction
from django.db.models import Exists, OuterRef

from diagnosis.models import Patient, Reading, Study
from diagnosis.services.linking import forget, forget_if_empty, link, settle_number
from xraysite.fsck.findings import Finding, Run


def patients_are_whole(run: Run) -> Iterator[Finding]:
    """Check that readings have studies, and that no patient data is left of purged readings."""
    run.checked["patients"] += Patient.objects.count()
    yield from _readings_without_study(run)
    yield from _left_behind(run)
    yield from _numbers_without_holder(run)


def _readings_without_study(run: Run) -> Iterator[Finding]:
    unlinked = Reading.objects.filter(study=None).defer("activation_map")
    for reading in list(unlinked.order_by("created_at", "id")):
        if run.repair:
            with transaction.atomic():
                link(reading)
                Reading.objects.filter(pk=reading.pk).update(study=reading.study)
        text = "The reading belongs to no study, so its patient's page does not show it."
        yield Finding("study-missing", str(reading.pk), text, run.repair)


def _left_behind(run: Run) -> Iterator[Finding]:
    readings = Reading.objects.filter(study=OuterRef("pk"))
    for study in list(Study.objects.filter(~Exists(readings))):
        if run.repair:
            with transaction.atomic():
                forget_if_empty(study)
        yield Finding("study-empty", str(study.pk), "The study has no reading.", run.repair)
    studies = Study.objects.filter(patient=OuterRef("pk"))
    for patient in list(Patient.objects.filter(~Exists(studies), merged_into=None)):
        if run.repair:
            with transaction.atomic():
                forget(patient.pk)
        text = "The patient has no reading. The details must not be kept."
        yield Finding("patient-empty", str(patient.pk), text, run.repair)


def _numbers_without_holder(run: Run) -> Iterator[Finding]:
    disputed = Patient.objects.filter(number_disputed=True, merged_into=None)
    held = Patient.objects.filter(
        number_key=OuterRef("number_key"), number_disputed=False, merged_into=None
    )
    keys = disputed.filter(~Exists(held)).order_by().values_list("number_key", flat=True)
    for key in list(keys.distinct()):
        if run.repair:
            with transaction.atomic():
                settle_number(key)
        patient = disputed.filter(number_key=key).order_by("created_at", "id").first()
        text = "The number is marked as disputed, but no other patient has it."
        yield Finding("number-without-holder", str(patient and patient.pk), text, run.repair)
