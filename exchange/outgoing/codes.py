"""The codes that results are written with in DICOM objects.

Codes of SNOMED CT, DICOM and UCUM come from the dictionaries of pydicom, or were looked up in
public terminology servers. Where no code fits, the private scheme 99XRAYSITE is used; its codes are
listed in docs/integration.md.
"""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from diagnosis.models import Agreement, Confidence, Finding, Label, Lobe, Side, Verdict

SCHEME: Final = "99XRAYSITE"


def concept(code: Code | CodedConcept) -> CodedConcept:
    """Return a code as DICOM stores it."""
    if isinstance(code, CodedConcept):
        return code
    return CodedConcept(
        value=code.value, scheme_designator=code.scheme_designator, meaning=code.meaning
    )


def private(value: str, meaning: str) -> CodedConcept:
    """Return a code of the private scheme."""
    return CodedConcept(value=value, scheme_designator=SCHEME, meaning=meaning)


def _snomed(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value=value, scheme_designator="SCT", meaning=meaning)


def coding_schemes() -> list[CodingSchemeIdentificationItem]:
    """Return the description of the private scheme, which every object that uses it carries."""
    return [
        CodingSchemeIdentificationItem(
            designator=SCHEME,
            name="Codes of xraysite",
            responsible_organization="xraysite",
        )
    ]


PNEUMONIA: Final = _snomed("233604007", "Pneumonia")
CHEST_XRAY: Final = _snomed("399208008", "Plain X-ray of chest")
LUNG: Final = concept(codes.SCT.Lung)
LATERALITY: Final = concept(codes.SCT.Laterality)
PRESENCE: Final = concept(codes.DCM.PresenceOfProperty)
PROBABILITY: Final = concept(codes.DCM.Probability)
IMPRESSION: Final = concept(codes.DCM.Impression)
FINDING: Final = concept(codes.DCM.Finding)
COMMENT: Final = concept(codes.DCM.Comment)
REPORT: Final = concept(codes.LN.DiagnosticImagingReport)
UNITLESS: Final = concept(codes.UCUM.NoUnits)

MODEL_RESULT: Final = private("MODEL_RESULT", "Result of the AI model")
NORMAL_BELOW: Final = private("NORMAL_BELOW", "Probability below which the result is normal")
PNEUMONIA_FROM: Final = private("PNEUMONIA_FROM", "Probability from which the result is pneumonia")
SCOPE_REASON: Final = private("SCOPE_REASON", "Reason for being out of scope")
AGREEMENT: Final = private("AGREEMENT", "Agreement of doctor and AI model")
CONFIDENCE: Final = private("CONFIDENCE", "Doctor's confidence")

# What the model's result says about pneumonia. A normal result says nothing about other diseases,
# so it is not coded as a normal X-ray.
PRESENCE_OF: Final = {
    Label.PNEUMONIA: concept(codes.DCM.Present),
    Label.NORMAL: concept(codes.DCM.Absent),
    Label.UNSURE: concept(codes.DCM.PresenceUndetermined),
    Label.OUT_OF_SCOPE: concept(codes.DCM.PresenceUndetermined),
}
LABELS: Final = {
    Label.PNEUMONIA: private("PNEUMONIA", "Signs of pneumonia found"),
    Label.NORMAL: private("NORMAL", "No signs of pneumonia found"),
    Label.UNSURE: private("UNSURE", "Inconclusive"),
    Label.OUT_OF_SCOPE: private("OUT_OF_SCOPE", "Out of scope, no result"),
}
VERDICTS: Final = {
    Verdict.NORMAL: concept(codes.SCT.ImagingResultNormal),
    Verdict.PNEUMONIA: PNEUMONIA,
    Verdict.OTHER: concept(codes.SCT.ImagingResultAbnormal),
    Verdict.CANNOT_TELL: concept(codes.SCT.NormalityUndetermined),
}
CONFIDENCES: Final = {
    Confidence.LOW: concept(codes.SCT.Low),
    Confidence.MODERATE: concept(codes.SCT.Moderate),
    Confidence.HIGH: concept(codes.SCT.High),
}
AGREEMENTS: Final = {
    Agreement.AGREE: private("AGREE", "Doctor and AI model agree"),
    Agreement.DISAGREE: private("DISAGREE", "Doctor and AI model disagree"),
}
FINDINGS: Final = {
    Finding.NONE: private("NO_ABNORMALITY", "No abnormality of the chest seen"),
    Finding.CONSOLIDATION: _snomed("95436008", "Lung consolidation"),
    Finding.INTERSTITIAL: concept(codes.DCM.AbnormalInterstitialPattern),
    Finding.EFFUSION: concept(codes.SCT.PleuralEffusion),
    Finding.HYPERINFLATION: private("HYPERINFLATION", "Hyperinflation of lung"),
    Finding.ATELECTASIS: _snomed("46621007", "Atelectasis"),
    Finding.CARDIOMEGALY: _snomed("8186001", "Cardiomegaly"),
    Finding.DEVICE: private("DEVICE", "Tube, line or device"),
    Finding.OTHER: private("OTHER_FINDING", "Other finding"),
}
SIDES: Final = {
    Side.RIGHT: concept(codes.SCT.Right),
    Side.LEFT: concept(codes.SCT.Left),
    Side.BOTH: concept(codes.SCT.Bilateral),
}
# A lobe that has no code of its own side in pydicom's dictionary is coded with its side.
LOBES: Final = {
    Lobe.RUL: (concept(codes.SCT.UpperLobeOfLung), SIDES[Side.RIGHT]),
    Lobe.RML: (concept(codes.SCT.MiddleLobeOfRightLung), None),
    Lobe.RLL: (concept(codes.SCT.LowerLobeOfLung), SIDES[Side.RIGHT]),
    Lobe.LUL: (concept(codes.SCT.UpperLobeOfLung), SIDES[Side.LEFT]),
    Lobe.LLL: (concept(codes.SCT.LowerLobeOfLung), SIDES[Side.LEFT]),
}
