"""A reading, the doctor's own assessment of the film, shared cases, and the worklist's tags."""

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
from diagnosis.models.reading import MAX_AGE_YEARS, Reading
from diagnosis.models.review import Review
from diagnosis.models.sharing import SharedCase
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
    "Reading",
    "Review",
    "SavedView",
    "Sex",
    "SharedCase",
    "Source",
    "Tag",
    "TagColour",
    "Tagging",
    "Verdict",
    "agreement_of",
]
