"""Single resources that a user may see, by their ids."""

import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from accounts.models import User
from diagnosis.models import Patient, Reading
from exchange.fhir.answers import FhirError
from exchange.fhir.loading import FURTHER, Record, record_of
from exchange.fhir.parameters import key_of, of_patient
from exchange.fhir.resources import observations, people, reports, studies
from exchange.fhir.resources.common import Resource
from exchange.fhir.searching import seen_by
from mlcore.models import ModelVersion

Found = tuple[Resource, Reading | None]


def missing() -> FhirError:
    return FhirError(404, "not-found", "There is no such resource, or you may not see it.")


def record(key: str, user: User) -> Record:
    """Return the record of a reading that `user` may see.

    Raises:
        FhirError: there is none, or it was deleted.
    """
    found = key_of(key)
    if found is None:
        raise missing()
    reading = seen_by(user).filter(pk=found).first()
    if reading is None:
        raise _gone_or_missing(found, user)
    return record_of(reading)


def _gone_or_missing(key: uuid.UUID, user: User) -> FhirError:
    """Tell that a reading was deleted to those who know of it."""
    own = Reading.objects.hidden_of(user).filter(pk=key)
    overseen = Reading.objects.visible_to(user).filter(pk=key, hidden_at__isnull=False)
    if own.exists() or overseen.exists():
        return FhirError(410, "deleted", "The reading has been deleted.")
    return missing()


def _study(key: str, user: User) -> Found:
    found = record(key, user)
    return studies.imaging_study(found), found.reading


def _report(key: str, user: User) -> Found:
    found = record(key, user)
    return reports.diagnostic_report(found), found.reading


def _observation(key: str, user: User) -> Found:
    reading_key, _dot, part = key.partition(".")
    found = record(reading_key, user)
    for each in observations.observations(found):
        if each["id"] == f"{reading_key}.{part}":
            return each, found.reading
    raise missing()


def _patient(key: str, user: User) -> Found:
    found = key_of(key)
    if found is None:
        raise missing()
    latest = seen_by(user).filter(of_patient(found)).order_by("-created_at", "-id").first()
    if latest is None:
        raise missing()
    shown = record_of(latest)
    if shown.patient_key == str(found):
        return people.patient(shown), latest
    return people.merged_patient(Patient.objects.get(pk=found)), latest


def _practitioner(key: str, user: User) -> Found:
    if not re.fullmatch(r"\d{1,18}", key):
        raise missing()
    seen, account = seen_by(user).order_by("-created_at", "-id"), int(key)
    latest = seen.filter(doctor_id=account).first()
    if latest is not None:
        return people.practitioner(latest.doctor), latest
    second = seen.filter(opinions__author_id=account, opinions__stage__in=FURTHER).first()
    for opinion in record_of(second).further if second is not None else ():
        if opinion.author_id == account:
            return people.practitioner(opinion.author), second
    raise missing()


def _device(key: str, user: User) -> Found:
    version = ModelVersion.objects.filter(bundle_sha256=key).first()
    if version is None or not user.has_perm("mlcore.view_modelversion"):
        raise missing()
    return people.device(version, key), None


READERS: Final[dict[str, Callable[[str, User], Any]]] = {
    "Patient": _patient,
    "ImagingStudy": _study,
    "DiagnosticReport": _report,
    "Observation": _observation,
    "Practitioner": _practitioner,
    "Device": _device,
}


def read(kind: str, key: str, user: User) -> Found:
    """Return a resource, and the reading that it shows.

    Raises:
        FhirError: there is none, `user` may not see it, or it was deleted.
    """
    found: Found = READERS[kind](key, user)
    return found
