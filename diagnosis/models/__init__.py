"""A reading, the doctor's own assessment of the film, the cases shared from it, and batches."""

from diagnosis.models.batch import (
    ENDED,
    IN_INBOX,
    MAX_PATH,
    MOVING,
    Batch,
    BatchItem,
    ItemState,
)
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
from diagnosis.models.review import Review
from diagnosis.models.sharing import SharedCase

__all__ = [
    "ENDED",
    "FILM",
    "IN_INBOX",
    "MAX_AGE_YEARS",
    "MAX_PATH",
    "MOVING",
    "NEWEST_FIRST",
    "READING_INDEXES",
    "RESEMBLANCES",
    "SCOPE_REASONS",
    "AgeScope",
    "Agreement",
    "Batch",
    "BatchItem",
    "Confidence",
    "ConfirmedDiagnosis",
    "Diagnosis",
    "DiagnosisSource",
    "Finding",
    "HidingReason",
    "ItemState",
    "Label",
    "Lobe",
    "Opinion",
    "OpinionDraft",
    "Reading",
    "Review",
    "Sex",
    "SharedCase",
    "Side",
    "Source",
    "Stage",
    "Verdict",
    "agreement_of",
]
