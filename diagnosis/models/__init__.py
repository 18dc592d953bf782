"""A reading, the doctor's own assessment of the film, its reports and the cases shared from it."""

from diagnosis.models.choices import (
    RESEMBLANCES,
    SCOPE_REASONS,
    AgeScope,
    Agreement,
    HidingReason,
    Label,
    Sex,
    Verdict,
    agreement_of,
)
from diagnosis.models.discrepancies import FILM, Source
from diagnosis.models.findings import Finding, Lobe, Side
from diagnosis.models.opinion import (
    Confidence,
    ConfirmedDiagnosis,
    Diagnosis,
    DiagnosisSource,
    Opinion,
    OpinionDraft,
    Stage,
)
from diagnosis.models.reading import MAX_AGE_YEARS, NEWEST_FIRST, READING_INDEXES, Reading
from diagnosis.models.report import ReportIssue
from diagnosis.models.review import Review
from diagnosis.models.sharing import SharedCase

__all__ = [
    "FILM",
    "MAX_AGE_YEARS",
    "NEWEST_FIRST",
    "READING_INDEXES",
    "RESEMBLANCES",
    "SCOPE_REASONS",
    "AgeScope",
    "Agreement",
    "Confidence",
    "ConfirmedDiagnosis",
    "Diagnosis",
    "DiagnosisSource",
    "Finding",
    "HidingReason",
    "Label",
    "Lobe",
    "Opinion",
    "OpinionDraft",
    "Reading",
    "ReportIssue",
    "Review",
    "Sex",
    "SharedCase",
    "Side",
    "Source",
    "Stage",
    "Verdict",
    "agreement_of",
]
