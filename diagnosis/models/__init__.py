"""A reading, its patient and team, the doctor's own assessment, cases shared from it, and lists."""

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
from diagnosis.models.indexes import NEWEST_FIRST, READING_INDEXES
from diagnosis.models.patient import Patient, PatientOperation, Study
from diagnosis.models.reading import MAX_AGE_YEARS, Reading
from diagnosis.models.review import Review
from diagnosis.models.sharing import SharedCase
from diagnosis.models.team import Team, TeamMembership
from diagnosis.models.worklist import SavedView, Tag, TagColour, Tagging

__all__ = [
    "FILM",
    "MAX_AGE_YEARS",
    "NEWEST_FIRST",
    "READING_INDEXES",
    "RESEMBLANCES",
    "SCOPE_REASONS",
    "AgeScope",
    "Agreement",
    "HidingReason",
    "Label",
    "Patient",
    "PatientOperation",
    "Reading",
    "Review",
    "SavedView",
    "Sex",
    "SharedCase",
    "Source",
    "Study",
    "Tag",
    "TagColour",
    "Tagging",
    "Team",
    "TeamMembership",
    "Verdict",
    "agreement_of",
]
