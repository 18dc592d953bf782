"""Patients, as far as the account may see their readings."""

import uuid
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from ninja import Router

from diagnosis import access_log
from diagnosis.models import Patient, Reading
from diagnosis.services.patient_films import films_of
from exchange.api.authentication import Token
from exchange.api.lists import as_uuid, decoded, encoded
from exchange.api.presenting import in_order, loaded, patient_json, reading_json
from exchange.api.schemas.others import PatientDetailOut, PatientPage, PatientSearchIn

router = Router(tags=[gettext_noop("Patients")])
READ = Token("patients:read")
PAGE_SIZE, SEARCHED, FILMS = 50, 200, 100


@router.get(
    "/patients",
    auth=READ,
    response=PatientPage,
    operation_id="list_patients",
    summary=gettext_noop("List patients"),
)
def list_patients(request: HttpRequest, cursor: str = "") -> dict[str, Any]:
    """List the patients whose readings the account may see, each as the newest of these has it."""
    patients = Patient.objects.visible_to(request.user).order_by("pk")
    if cursor:
        patients = patients.filter(pk__gt=as_uuid(decoded(cursor, 1)[0]))
    keys = _newest(request, patients, PAGE_SIZE + 1)
    shown = keys[:PAGE_SIZE]
    following = encoded(shown[-1][0]) if len(keys) > PAGE_SIZE else None
    return {"items": _patients(request, [reading for _, reading in shown]), "next": following}


def _newest(request: HttpRequest, patients: "QuerySet[Patient]", limit: int) -> list[Any]:
    """Return the keys of patients, and of the newest reading of each that the account may see."""
    seen = Reading.objects.visible_to(request.user).filter(study__patient_id=OuterRef("pk"))
    newest = Subquery(seen.order_by("-created_at", "-id").values("pk")[:1])
    return list(patients.annotate(newest=newest).values_list("pk", "newest")[:limit])


def _patients(request: HttpRequest, keys: list[Any]) -> list[dict[str, Any]]:
    found = in_order(keys, request.user, Reading.objects.visible_to(request.user))
    access_log.record_list(found, what="patients-list")
    return [patient_json(reading) for reading in found]


@router.post(
    "/patients/search",
    auth=READ,
    response=PatientPage,
    operation_id="search_patients",
    summary=gettext_noop("Search patients"),
)
def search_patients(request: HttpRequest, search: PatientSearchIn) -> dict[str, Any]:
    """Find patients by name or number in the readings that the account may see; at most 200."""
    visible = Reading.objects.visible_to(request.user)
    # Of everybody's readings, those that begin with it, which indexes find.
    oversees = request.user.has_perm("diagnosis.oversee_reading")
    found = visible.beginning_with(search.q) if oversees else visible.few_about(search.q)
    seen = found.filter(study__isnull=False).order_by("-created_at", "-id")
    newest: dict[Any, Any] = {}
    for key, patient in seen.values_list("pk", "study__patient_id")[:1000]:
        newest.setdefault(patient, key)
    return {"items": _patients(request, list(newest.values())[:SEARCHED]), "next": None}


@router.get(
    "/patients/{uuid:patient_id}",
    auth=READ,
    response=PatientDetailOut,
    operation_id="get_patient",
    summary=gettext_noop("Fetch a patient with the readings"),
)
def get_patient(request: HttpRequest, patient_id: uuid.UUID) -> dict[str, Any]:
    """Return a patient as the newest reading has it, and the readings, the latest exam first.

    The id of a patient who was merged into another leads to the other.
    """
    readings = films_of(request.user, patient_id)
    found = list(loaded(readings, request.user)[: FILMS + 1])
    if not found:
        access_log.record_denied(str(patient_id))
        raise Http404(_("This patient does not exist."))
    films = found[:FILMS]
    access_log.record_list(films, what="patient-page")
    return {
        "patient": patient_json(max(films, key=lambda film: (film.created_at, film.pk))),
        "names": sorted({film.patient_name for film in films}),
        "numbers": sorted({film.patient_number for film in films if film.patient_number}),
        "readings": [reading_json(request, film) for film in films],
        "has_more": len(found) > FILMS,
    }
