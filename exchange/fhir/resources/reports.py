"""DiagnosticReport: a reading's report, and the PDF of it."""

import base64
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.utils.html import escape
from django.utils.translation import gettext

from diagnosis.models import Stage, Verdict
from exchange.fhir import systems
from exchange.fhir.loading import Record
from exchange.fhir.resources.common import (
    Resource,
    finished,
    in_site_language,
    instant,
    language,
    reference,
)
from exchange.fhir.resources.observations import (
    DOCTOR,
    FURTHER,
    MODEL,
    observation_id,
)
from exchange.fhir.resources.people import doctor_reference
from exchange.fhir.resources.studies import own_identifier

PDF = "application/pdf"


def report_status(record: Record) -> str:
    """Return the report's status.

    `registered` while the model's result is withheld, `preliminary` until a doctor has signed,
    `final` afterwards; addenda make it `amended` if they change the opinion, and `appended` if they
    only add a note or somebody else's opinion.
    """
    if record.is_signed:
        if len(record.opinions) + len(record.further) == 1:
            return "final"
        contents = [(each.verdict, each.findings, each.confidence) for each in record.opinions]
        return "amended" if any(a != b for a, b in pairwise(contents)) else "appended"
    return "preliminary" if record.has_answer else "registered"


def diagnostic_report(record: Record, *, pdf: bytes | None = None) -> Resource:
    """Return the report of a reading.

    Args:
        pdf: the report's document for receivers that cannot ask for it; otherwise the report refers
            to the Binary.
    """
    reading = record.reading
    with in_site_language():
        resource: Resource = {
            "resourceType": "DiagnosticReport",
            "id": record.key,
            "language": language(),
            "identifier": [own_identifier(record, "reading")],
            "status": report_status(record),
            "category": [systems.concept(systems.RADIOLOGY)],
            "code": systems.concept(systems.CHEST_XRAY, text=gettext("Chest X-ray report")),
            "subject": reference("Patient", record.patient_key),
            "effectiveDateTime": reading.exam_date.isoformat(),
            "issued": instant(record.changed_at),
            "performer": _performers(record),
            "imagingStudy": [reference("ImagingStudy", record.key)],
        }
        resource |= _conclusion(record)
        if record.has_answer:
            resource["presentedForm"] = [_document(record, pdf)]
    if not settings.FHIR_TW_CORE_REPORTS:
        resource |= _results(record)
    resource["text"] = _narrative(resource)
    return finished(
        resource,
        profile="DiagnosticReport-twcore" if settings.FHIR_TW_CORE_REPORTS else "",
        changed_at=record.changed_at,
        by_model=record.has_answer and not record.is_signed,
    )


def _results(record: Record) -> Resource:
    """Return the references to Observations: TW Core's profile allows laboratory results only."""
    parts = [MODEL] * record.has_answer + [DOCTOR] * record.is_signed
    parts += [FURTHER[Stage(each.stage)] for each in record.further]
    found = [reference("Observation", observation_id(record, part)) for part in parts]
    return {"result": found} if found else {}


def _performers(record: Record) -> list[dict[str, str]]:
    doctor = record.opinions[-1].author if record.opinions else record.reading.doctor
    hospital = [{"display": doctor.hospital}] if doctor.hospital else []
    return [doctor_reference(doctor), *hospital]


def _conclusion(record: Record) -> Resource:
    if not record.is_signed:
        if not record.has_answer:
            return {}
        values = {"result": record.reading.get_label_display()}
        words = gettext("Result of the AI model, not confirmed by a doctor: %(result)s") % values
        return {"conclusion": words}
    current = record.opinions[-1]
    lines = [str(current.get_verdict_display()), *current.finding_texts, current.note]
    lines += [
        f"{each.get_stage_display()}: {each.get_verdict_display()}" for each in record.further
    ]
    code = systems.concept(*systems.VERDICTS[Verdict(current.verdict)], text=lines[0])
    return {
        "resultsInterpreter": [doctor_reference(current.author)],
        "conclusion": "\n".join(line for line in lines if line),
        "conclusionCode": [code],
    }


def _document(record: Record, pdf: bytes | None) -> dict[str, Any]:
    form = {
        "contentType": PDF,
        "language": language(),
        "title": gettext("Chest X-ray report"),
    }
    if pdf is None:
        return form | {"url": f"Binary/{record.key}"}
    return form | {"data": base64.b64encode(pdf).decode(), "size": len(pdf)}


def _narrative(resource: Resource) -> dict[str, str]:
    lines = [resource["code"]["text"], resource["effectiveDateTime"], resource["status"]]
    lines += resource.get("conclusion", "").splitlines()
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'
    return {"status": "generated", "div": div}


def binary(record: Record, pdf: bytes) -> Resource:
    """Return the report's document as a resource."""
    resource = {
        "resourceType": "Binary",
        "id": record.key,
        "contentType": PDF,
        "securityContext": reference("DiagnosticReport", record.key),
        "data": base64.b64encode(pdf).decode(),
    }
    return finished(resource, changed_at=record.changed_at)


def retracted(resource: Resource) -> Resource:
    """Return a resource that must not be used any more: its reading has been deleted."""
    kept = ("resourceType", "id", "identifier", "category", "code", "subject", "series", "modality")
    found = {name: resource[name] for name in kept if name in resource}
    return finished(found | {"status": "entered-in-error"})
