"""Search parameters: which there are, and the conditions that they stand for.

An unknown parameter is refused. FHIR lets servers ignore it, but then a program that meant to ask
for one patient would get everybody's results.
"""

import calendar
import datetime
import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from django.db.models import Q
from django.http import QueryDict

from diagnosis.models import Patient, Study
from diagnosis.search import search_key
from exchange import uids
from exchange.fhir import systems
from exchange.fhir.answers import FhirError
from exchange.fhir.resources.observations import PARTS

NOTHING: Final = Q(pk__in=[])
CONTROL: Final = {"_format", "_count", "_cursor", "_summary", "_total", "_pretty"}
MAX_VALUES: Final = 50
# More than a child is ever X-rayed.
MAX_STUDIES: Final = 1000


def conditions(kind: str, asked: QueryDict) -> list[Q]:
    """Return the conditions of readings whose resources a search asks for.

    Raises:
        FhirError: a parameter is unknown or has a bad value.
    """
    known = PARAMETERS[kind]
    found = []
    for name in asked:
        if name in CONTROL:
            continue
        if name not in known:
            raise FhirError(
                400, "not-supported",
                f"Unknown parameter {name!r} of {kind}. Known: {', '.join(sorted(known))}.",
            )  # fmt: skip
        found += [known[name](value) for value in asked.getlist(name) if value]
    return found


def any_of(condition: Callable[[str], Q]) -> Callable[[str], Q]:
    """Return a condition for values separated by commas, of which one has to match."""

    def joined(text: str) -> Q:
        values = text.split(",")
        if len(values) > MAX_VALUES:
            raise FhirError(400, "too-costly", f"At most {MAX_VALUES} values a parameter.")
        found = NOTHING
        for value in values:
            found |= condition(value.strip())
        return found

    return joined


def key_of(text: str) -> uuid.UUID | None:
    """Return the UUID in an id, or None."""
    try:
        return uuid.UUID(text) if re.fullmatch(r"[0-9a-fA-F-]{36}", text) else None
    except ValueError:
        return None


def of_patient(key: uuid.UUID) -> Q:
    """Return the condition of readings of a patient, also by the id of one merged into it."""
    row = Patient.objects.filter(pk=key).select_related("merged_into").first()
    keys = [key] if row is None else [key, row.survivor().pk]
    # Looked up at once: with a join inside OR, databases read every reading of the account.
    studies = Study.objects.filter(patient_id__in=keys).values_list("pk", flat=True)
    return Q(study_id__in=list(studies[:MAX_STUDIES])) | Q(study_id__isnull=True, pk=key)


def _patient(text: str) -> Q:
    kind, slash, key = text.rpartition("/")
    if slash and kind.rpartition("/")[2] != "Patient":
        return NOTHING
    found = key_of(key)
    return of_patient(found) if found else NOTHING


def _patient_id(text: str) -> Q:
    found = key_of(text)
    return of_patient(found) if found else NOTHING


def _patient_identifier(text: str) -> Q:
    system, bar, value = text.rpartition("|")
    found = NOTHING
    if not value:
        return found
    if not bar or system == systems.patient_number_system():
        found |= Q(patient_number_key=search_key(value))
    if not bar or system == systems.site_system("patient"):
        found |= _patient_id(value)
    return found


def _reading(text: str) -> Q:
    key = key_of(text)
    return Q(pk=key) if key else NOTHING


def _observation(text: str) -> Q:
    key, _dot, part = text.partition(".")
    return _reading(key) if part in PARTS else NOTHING


def _own(name: str, condition: Callable[[str], Q]) -> Callable[[str], Q]:
    """Return the condition of this site's identifiers of one kind, with or without system."""

    def of_identifier(text: str) -> Q:
        system, bar, value = text.rpartition("|")
        return condition(value) if not bar or system == systems.site_system(name) else NOTHING

    return of_identifier


def _study_identifier(text: str) -> Q:
    system, bar, value = text.rpartition("|")
    found = _own("imaging-study", _reading)(text)
    if not bar or system == systems.DICOM_UID:
        uid = value.removeprefix("urn:oid:")
        if re.fullmatch(r"[0-9.]{1,64}", uid):
            found |= uids.in_study(uid)
    return found


_DATE = re.compile(r"(eq|ne|ge|gt|le|lt|sa|eb)?(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


def _date(text: str) -> Q:
    """Return the condition of a date of examination, such as `2026`, `ge2026-01`, `2026-01-31`."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise FhirError(
            400, "invalid", "Dates are written as 2026, 2026-01 or 2026-01-31, after ge, le, gt, "
            "lt, sa, eb, ne or eq. Times are not known."
        )  # fmt: skip
    prefix, year, month, day = match.groups()
    first_month, last_month = (int(month),) * 2 if month else (1, 12)
    try:
        first = datetime.date(int(year), first_month, int(day or 1))
        last_day = int(day) if day else calendar.monthrange(int(year), last_month)[1]
        last = datetime.date(int(year), last_month, last_day)
    except ValueError as error:
        raise FhirError(400, "invalid", "There is no such date.") from error
    within = Q(exam_date__range=(first, last))
    return {
        "ne": ~within,
        "ge": Q(exam_date__gte=first),
        "le": Q(exam_date__lte=last),
        "gt": Q(exam_date__gt=last),
        "sa": Q(exam_date__gt=last),
        "lt": Q(exam_date__lt=first),
        "eb": Q(exam_date__lt=first),
    }.get(prefix or "eq", within)


_ABOUT_PATIENT: Final[dict[str, Callable[[str], Q]]] = {
    "patient": any_of(_patient),
    "subject": any_of(_patient),
    "patient.identifier": any_of(_patient_identifier),
}
PARAMETERS: Final[dict[str, dict[str, Callable[[str], Q]]]] = {
    "Patient": {
        "_id": any_of(_patient_id),
        "identifier": any_of(_patient_identifier),
    },
    "ImagingStudy": {
        "_id": any_of(_reading),
        "identifier": any_of(_study_identifier),
        "started": _date,
        **_ABOUT_PATIENT,
    },
    "DiagnosticReport": {
        "_id": any_of(_reading),
        "identifier": any_of(_own("reading", _reading)),
        "date": _date,
        **_ABOUT_PATIENT,
    },
    "Observation": {
        "_id": any_of(_observation),
        "identifier": any_of(_own("observation", _observation)),
        "date": _date,
        **_ABOUT_PATIENT,
    },
}
# What each parameter is, for the CapabilityStatement.
TYPES: Final[dict[str, Any]] = {
    "_id": "token", "identifier": "token", "date": "date", "started": "date",
    "patient": "reference", "subject": "reference", "patient.identifier": "token",
}  # fmt: skip
