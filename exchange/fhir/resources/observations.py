"""Observation: what the model said about a film, and what its doctor says."""

from typing import Any, Final

from django.utils.translation import gettext

from diagnosis.models import (
    Confidence,
    Finding,
    Label,
    Opinion,
    Reading,
    Stage,
    Verdict,
    findings,
)
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
from exchange.fhir.resources.people import device_reference, doctor_reference
from exchange.fhir.resources.studies import own_identifier

MODEL, DOCTOR = "model", "doctor"
# Of the second reader and the arbiter.
FURTHER: Final = {Stage.SECOND: "second", Stage.ARBITER: "arbiter"}
PARTS: Final = (MODEL, DOCTOR, *FURTHER.values())
PROFILE: Final = "Observation-simple-twcore"


def observation_id(record: Record, part: str) -> str:
    """Return the id of a reading's Observation: of its model's result or its doctor's opinion."""
    return f"{record.key}.{part}"


def observations(record: Record) -> list[Resource]:
    """Return the Observations of a reading that may be shown."""
    found = [model_result(record)] if record.has_answer else []
    found += [doctor_opinion(record)] if record.is_signed else []
    return found + [further_opinion(record, each) for each in record.further]


def model_result(record: Record) -> Resource:
    """Return what the model said: preliminary until a doctor has signed an opinion.

    Raises:
        ValueError: it is withheld.
    """
    reading = record.reading
    if not record.has_answer:
        raise ValueError(f"The model's result of reading {reading.pk} is withheld.")
    with in_site_language():
        resource = _base(record, MODEL) | {
            "status": "final" if record.is_signed else "preliminary",
            "code": systems.concept(
                systems.MODEL_RESULT, systems.PNEUMONIA, text=gettext("Result of the AI model")
            ),
            "issued": instant(reading.created_at),
            "note": [{"text": text} for text in _model_notes(reading)],
            "device": device_reference(reading),
        }
        resource |= _answer(reading)
    return finished(resource, profile=PROFILE, changed_at=record.changed_at, by_model=True)


def _answer(reading: Reading) -> Resource:
    label = Label(reading.label)
    shown = str(reading.get_label_display())
    if reading.is_out_of_scope:
        absent = systems.coding(systems.NO_VALUE, "not-applicable", "Not Applicable")
        return {"dataAbsentReason": systems.concept(absent, systems.LABELS[label], text=shown)}
    value = systems.concept(systems.LABELS[label], systems.PRESENCE[label], text=shown)
    answer: Resource = {"valueCodeableConcept": value, "component": _probabilities(reading)}
    if reading.rule_text:
        answer["method"] = systems.concept(text=reading.rule_text)
    return answer


def _model_notes(reading: Reading) -> list[str]:
    own = gettext("Read the X-ray yourself or consult a radiologist.")
    support = gettext("Decision support only; it does not replace a doctor.")
    return [support, own, *reading.scope_reason_texts, *reading.image_hint_texts]


def _probabilities(reading: Reading) -> list[Resource]:
    found = [
        _quantity(code, float(reading.probabilities[label]))
        for label, code in systems.PROBABILITIES.items()
        if label in reading.probabilities
    ]
    if reading.limits:
        codes = (systems.NORMAL_BELOW, systems.PNEUMONIA_FROM)
        found += [_quantity(code, limit) for code, limit in zip(codes, reading.limits, strict=True)]
    return found


def _quantity(code: systems.Coding, value: float) -> Resource:
    quantity = {"value": round(value, 6), "system": systems.UCUM, "code": "1"}
    return {"code": systems.concept(code), "valueQuantity": quantity}


def doctor_opinion(record: Record) -> Resource:
    """Return the doctor's signed opinion as it stands: amended once an addendum changes it.

    Raises:
        IndexError: none has been signed.
    """
    status = "amended" if len(record.opinions) > 1 else "final"
    return _opinion(record, record.opinions[-1], DOCTOR, status)


def further_opinion(record: Record, opinion: Opinion) -> Resource:
    """Return the opinion of the second reader, or the arbiter's decision."""
    return _opinion(record, opinion, FURTHER[Stage(opinion.stage)], "final")


def _opinion(record: Record, current: Opinion, part: str, status: str) -> Resource:
    with in_site_language():
        verdict = systems.concept(
            *systems.VERDICTS[Verdict(current.verdict)], text=str(current.get_verdict_display())
        )
        resource = _base(record, part) | {
            "status": status,
            "code": systems.concept(*_kind(current), text=gettext("Doctor's assessment")),
            "issued": instant(current.recorded_at),
            "performer": [doctor_reference(current.author)],
            "valueCodeableConcept": verdict,
        }
        parts = _parts(current)
        if parts:
            resource["component"] = parts
        if current.note:
            resource["note"] = [{"text": current.note}]
    return finished(resource, profile=PROFILE, changed_at=record.changed_at)


def _kind(opinion: Opinion) -> list[systems.Coding]:
    codes = {Stage.SECOND: systems.SECOND_OPINION, Stage.ARBITER: systems.ARBITER_DECISION}
    further = codes.get(Stage(opinion.stage))
    return [systems.DOCTOR_OPINION, *([further] if further else [])]


def _parts(opinion: Opinion) -> list[Resource]:
    parts = [
        {
            "code": systems.concept(systems.FINDING),
            "valueCodeableConcept": systems.concept(
                systems.FINDINGS[Finding(each["code"])], text=findings.shown(each)
            ),
        }
        for each in opinion.findings
    ]
    if opinion.confidence:
        code = systems.CONFIDENCES[Confidence(opinion.confidence)]
        text = str(opinion.get_confidence_display())
        value = systems.concept(code, text=text)
        parts.append({"code": systems.concept(systems.CONFIDENCE), "valueCodeableConcept": value})
    return parts


def _base(record: Record, part: str) -> dict[str, Any]:
    key = observation_id(record, part)
    return {
        "resourceType": "Observation",
        "id": key,
        "language": language(),
        "identifier": [own_identifier(record, "observation") | {"value": key}],
        "category": [systems.concept(systems.IMAGING)],
        "subject": reference("Patient", record.patient_key),
        "effectiveDateTime": record.reading.exam_date.isoformat(),
        "bodySite": systems.concept(systems.CHEST),
        "derivedFrom": [reference("ImagingStudy", record.key)],
    }
