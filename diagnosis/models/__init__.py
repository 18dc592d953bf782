"""A reading, and what belongs to it: patient, team, batch, assessment, reports, cases and tags."""

from diagnosis.models.batch import (
    ENDED,
    IN_INBOX,
    MAX_PATH,
    MOVING,
    Batch,
    BatchItem,
    BatchSource,
    ItemState,
)
from diagnosis.models.choices import (
    INDEPENDENT,
    RESEMBLANCES,
    SCOPE_REASONS,
    AgeScope,
    Agreement,
    HidingReason,
    Label,
    SecondState,
    Sex,
    Verdict,
    agreement_of,
)
from diagnosis.models.discrepancies import FILM, NUMBER, Source
from diagnosis.models.findings import Finding, Lobe, Side
from diagnosis.models.indexes import NEWEST_FIRST, READING_INDEXES
from diagnosis.models.opinion import (
    OWN_STAGES,
    Confidence,
    ConfirmedDiagnosis,
    Diagnosis,
    DiagnosisSource,
    Opinion,
    OpinionDraft,
    Stage,
)
from diagnosis.models.patient import Patient, PatientOperation, Study
from diagnosis.models.reading import MAX_AGE_YEARS, Reading
from diagnosis.models.report import ReportIssue
from diagnosis.models.review import Review
from diagnosis.models.sharing import SharedCase
from diagnosis.models.team import SecondReadingRule, Team, TeamMembership
from diagnosis.models.worklist import SavedView, Tag, TagColour, Tagging

__all__ = [
    "ENDED",
    "FILM",
    "INDEPENDENT",
    "IN_INBOX",
    "MAX_AGE_YEARS",
    "MAX_PATH",
    "MOVING",
    "NEWEST_FIRST",
    "NUMBER",
    "OWN_STAGES",
    "READING_INDEXES",
    "RESEMBLANCES",
    "SCOPE_REASONS",
    "AgeScope",
    "Agreement",
    "Batch",
    "BatchItem",
    "BatchSource",
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
    "Patient",
    "PatientOperation",
    "Reading",
    "ReportIssue",
    "Review",
    "SavedView",
    "SecondReadingRule",
    "SecondState",
    "Sex",
    "SharedCase",
    "Side",
    "Source",
    "Stage",
    "Study",
    "Tag",
    "TagColour",
    "Tagging",
    "Team",
    "TeamMembership",
    "Verdict",
    "agreement_of",
]
