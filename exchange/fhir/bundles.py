"""A reading as one Bundle: for other servers as a transaction, or to look at."""

import hashlib
import json
import re
import uuid
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings

from diagnosis.services.reports import BOTH, LANGUAGES, unnumbered_report
from exchange.fhir import systems
from exchange.fhir.checking import checked
from exchange.fhir.loading import Record
from exchange.fhir.resources import observations, people, reports, studies
from exchange.fhir.resources.common import Resource

Bundle = dict[str, Any]
_REFERENCE: Final = re.compile(
    r"(Patient|Practitioner|Device|ImagingStudy|Observation)/([A-Za-z0-9.-]{1,64})"
)


def transaction(record: Record, *, pdf: bytes | None = None) -> Bundle:
    """Return the transaction that stores a reading's resources on another server.

    Sending it again changes nothing. What this site owns is updated by its identifier. A patient,
    a doctor or a model that the server knows already is left as it is.

    Args:
        pdf: the report's document; without it the report has none.
    """
    entries = [_created(each, name) for each, name in _others(record)]
    report = reports.diagnostic_report(record, pdf=pdf)
    if pdf is None:
        report.pop("presentedForm", None)
    owned = [studies.imaging_study(record), *observations.observations(record), report]
    return _bundle(entries + [_updated(each) for each in owned])


def document(record: Record) -> bytes:
    """Return the report's PDF, which is no numbered copy.

    Raises:
        ReportError: the page cannot be set.
    """
    url = f"{settings.SITE_URL}{record.reading.get_absolute_url()}"
    return unnumbered_report(
        reading=record.reading, languages=LANGUAGES[BOTH], url=url, at=record.changed_at
    )


def retraction(record: Record) -> Bundle:
    """Return the transaction that marks a deleted reading's resources as entered in error."""
    patient, system = _patient(record)
    owned = [
        studies.imaging_study(record),
        *observations.observations(record),
        reports.diagnostic_report(record),
    ]
    updated = [_updated(reports.retracted(each)) for each in owned]
    return _bundle([_created(patient, system), *updated])


def digest(bundle: Bundle) -> str:
    """Return what tells whether a bundle is the one that was sent before."""
    text = json.dumps(bundle, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _others(record: Record) -> list[tuple[Resource, str]]:
    """Return what the reading's resources refer to, with the system that each is found by."""
    doctors = {record.reading.doctor_id: record.reading.doctor}
    doctors |= {each.author_id: each.author for each in (*record.opinions, *record.further)}
    found = [_patient(record)]
    account = systems.site_system("account")
    found += [(people.practitioner(each), account) for each in doctors.values()]
    if record.has_answer:
        reading = record.reading
        model = people.device(reading.model_version, reading.bundle_sha256)
        found.append((model, systems.BUNDLE_HASH))
    return found


def _patient(record: Record) -> tuple[Resource, str]:
    """Return the Patient, and the system that another server finds it by.

    A number that two patients claim finds none: the result could be filed under the wrong one.
    """
    resource, system = people.patient(record), systems.patient_number_system()
    study = record.reading.study
    is_disputed = study is not None and study.patient.number_disputed
    if is_disputed or not record.reading.patient_number:
        kept = [each for each in resource["identifier"] if each["system"] != system]
        resource["identifier"], system = kept, systems.site_system("patient")
        resource["meta"].pop("profile", None)
    return resource, system


def _bundle(entries: list[dict[str, Any]]) -> Bundle:
    return checked({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def _created(resource: Resource, system: str) -> dict[str, Any]:
    kind, condition = resource["resourceType"], _condition(resource, system)
    return _entry(resource, {"method": "POST", "url": kind, "ifNoneExist": condition})


def _updated(resource: Resource) -> dict[str, Any]:
    kind = resource["resourceType"]
    condition = _condition(resource, resource["identifier"][-1]["system"])
    return _entry(resource, {"method": "PUT", "url": f"{kind}?{condition}"})


def _condition(resource: Resource, system: str) -> str:
    [value] = [each["value"] for each in resource["identifier"] if each.get("system") == system]
    escaped = re.sub(r"([\\,|$])", r"\\\1", value)
    return f"identifier={quote(f'{system}|{escaped}', safe='')}"


def _entry(resource: Resource, request: dict[str, str]) -> dict[str, Any]:
    url = _urn(resource["resourceType"], resource["id"])
    return {"fullUrl": url, "resource": _sent(resource), "request": request}


def _sent(resource: Resource) -> Resource:
    """Return a resource as another server stores it: under an id and version of its own."""
    kept = {name: value for name, value in resource.items() if name != "id"}
    meta = {
        name: value
        for name, value in kept.pop("meta").items()
        if name not in ("versionId", "lastUpdated")
    }
    first = {"resourceType": kept.pop("resourceType")} | ({"meta": meta} if meta else {})
    linked: Resource = _linked(first | kept)
    return linked


def _linked(value: Any) -> Any:
    """Return JSON with the references to resources of this site replaced by those of the bundle."""
    if isinstance(value, list):
        return [_linked(each) for each in value]
    if not isinstance(value, dict):
        return value
    linked = {name: _linked(each) for name, each in value.items()}
    match = _REFERENCE.fullmatch(str(value.get("reference", "")))
    return linked | {"reference": _urn(match[1], match[2])} if match else linked


def _urn(kind: str, key: str) -> str:
    """Return the same URN for the same resource of this site every time."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{settings.SITE_URL}/fhir/{kind}/{key}')}"
