"""A reading, its patient and team, the doctor's own assessment, and cases shared from it."""

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
from diagnosis.models.discrepancies import FILM, NUMBER, Source
from diagnosis.models.patient import Patient, PatientOperation, Study
from diagnosis.models.reading import MAX_AGE_YEARS, NEWEST_FIRST, READING_INDEXES, Reading
from diagnosis.models.review import Review
from diagnosis.models.sharing import SharedCase
from diagnosis.models.team import Team, TeamMembership

__all__ = [
    "FILM",
    "MAX_AGE_YEARS",
    "NEWEST_FIRST",
    "NUMBER",
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
    "Sex",
    "SharedCase",
    "Source",
    "Study",
    "Team",
    "TeamMembership",
    "Verdict",
    "agreement_of",
]
