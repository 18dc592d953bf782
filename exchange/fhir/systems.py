"""Systems of identifiers and codes, and the codes that results are written with.

Codes of SNOMED CT and LOINC were looked up in public terminology servers. Where none fits, codes of
this project's own system are used; docs/integration.md lists them.
"""

from typing import Any, Final

from django.conf import settings

from diagnosis.models import Confidence, Finding, Label, Verdict

SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
IDENTIFIER_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
DICOM_UID: Final = "urn:dicom:uid"
URI: Final = "urn:ietf:rfc:3986"

# The same on every site, so that receivers can tell its codes.
CODES: Final = "urn:xraysite:code"
BUNDLE_HASH: Final = "urn:xraysite:bundle-sha256"

TW_CORE: Final = "https://twcore.mohw.gov.tw/ig/twcore/StructureDefinition/"

Coding = dict[str, Any]
Concept = dict[str, Any]


def site_system(name: str) -> str:
    """Return a system of identifiers that this site gives out, such as "reading"."""
    return f"{settings.SITE_URL}/fhir/sid/{name}"


def patient_number_system() -> str:
    """Return the system of the hospital's patient numbers."""
    return settings.FHIR_PATIENT_NUMBER_SYSTEM or site_system("patient-number")


def coding(system: str, code: str, display: str = "") -> Coding:
    """Return a Coding."""
    found = {"system": system, "code": code}
    return found | {"display": display} if display else found


def concept(*codings: Coding, text: str = "") -> Concept:
    """Return a CodeableConcept; without codings, of its text alone."""
    found: Concept = {"coding": list(codings)} if codings else {}
    return found | {"text": text} if text else found


def own(code: str, display: str) -> Coding:
    """Return a code of this project's system."""
    return coding(CODES, code, display)


AI_ASSERTED: Final = coding(
    "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "AIAST",
    "Artificial Intelligence asserted",
)
RADIOLOGY: Final = coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")
IMAGING: Final = coding(
    "http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging"
)
CHEST_XRAY: Final = coding(LOINC, "30745-4", "XR Chest Views")
CHEST: Final = coding(SNOMED, "51185008", "Thoracic structure")
PNEUMONIA: Final = coding(SNOMED, "233604007", "Pneumonia")
NO_VALUE: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

MODEL_RESULT: Final = own("MODEL_RESULT", "Result of the AI model")
DOCTOR_OPINION: Final = own("DOCTOR_OPINION", "Doctor's assessment")
SECOND_OPINION: Final = own("SECOND_OPINION", "Second, independent reading")
ARBITER_DECISION: Final = own("ARBITER_DECISION", "Decision of the arbiter")
PROBABILITIES: Final = {
    Label.PNEUMONIA: own("PROBABILITY_PNEUMONIA", "Probability of pneumonia"),
    Label.NORMAL: own("PROBABILITY_NORMAL", "Probability of no pneumonia"),
}
NORMAL_BELOW: Final = own("NORMAL_BELOW", "Probability below which the result is normal")
PNEUMONIA_FROM: Final = own("PNEUMONIA_FROM", "Probability from which the result is pneumonia")
CONFIDENCE: Final = own("CONFIDENCE", "Doctor's confidence")
FINDING: Final = own("FINDING", "Finding")

# What the model's result says about pneumonia. A normal result says nothing about other diseases,
# so it is not coded as a normal X-ray.
PRESENCE: Final = {
    Label.PNEUMONIA: coding(SNOMED, "52101004", "Present"),
    Label.NORMAL: coding(SNOMED, "2667000", "Absent"),
    Label.UNSURE: coding(SNOMED, "82334004", "Indeterminate"),
}
LABELS: Final = {
    Label.PNEUMONIA: own("PNEUMONIA", "Signs of pneumonia found"),
    Label.NORMAL: own("NORMAL", "No signs of pneumonia found"),
    Label.UNSURE: own("UNSURE", "Inconclusive"),
    Label.OUT_OF_SCOPE: own("OUT_OF_SCOPE", "Out of scope, no result"),
}
VERDICTS: Final = {
    Verdict.NORMAL: [own("VERDICT_NORMAL", "Normal")],
    Verdict.PNEUMONIA: [own("VERDICT_PNEUMONIA", "Pneumonia"), PNEUMONIA],
    Verdict.OTHER: [own("VERDICT_OTHER", "Other finding")],
    Verdict.CANNOT_TELL: [own("VERDICT_CANNOT_TELL", "Cannot tell")],
}
CONFIDENCES: Final = {
    Confidence.LOW: own("CONFIDENCE_LOW", "Low"),
    Confidence.MODERATE: own("CONFIDENCE_MODERATE", "Moderate"),
    Confidence.HIGH: own("CONFIDENCE_HIGH", "High"),
}
FINDINGS: Final = {
    Finding.NONE: own("FINDING_NONE", "No abnormality"),
    Finding.CONSOLIDATION: coding(SNOMED, "95436008", "Lung consolidation"),
    Finding.INTERSTITIAL: own("FINDING_INTERSTITIAL", "Interstitial pattern"),
    Finding.EFFUSION: coding(SNOMED, "60046008", "Pleural effusion"),
    Finding.HYPERINFLATION: own("FINDING_HYPERINFLATION", "Hyperinflation of lung"),
    Finding.ATELECTASIS: coding(SNOMED, "46621007", "Atelectasis"),
    Finding.CARDIOMEGALY: coding(SNOMED, "8186001", "Cardiomegaly"),
    Finding.DEVICE: own("FINDING_DEVICE", "Tube, line or device"),
    Finding.OTHER: own("FINDING_OTHER", "Other finding"),
}
