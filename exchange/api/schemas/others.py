"""Patients, reviews, batches, models, tokens and health."""

import datetime
import uuid
from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from exchange.api.schemas.common import Strict
from exchange.api.schemas.readings import PatientOut, ReadingOut

Verdict = Literal["NORMAL", "PNEUMONIA", "OTHER", "CANNOT_TELL"]
ConfidenceCode = Literal["LOW", "MODERATE", "HIGH", ""]
FindingCode = Literal[
    "none", "consolidation", "interstitial", "effusion", "hyperinflation", "atelectasis",
    "cardiomegaly", "device", "other",
]  # fmt: skip
ItemStateCode = Literal[
    "WAITING", "READING", "NEEDS_DATA", "UNDECIDED", "DONE", "FAILED", "CANCELLED", "EXPIRED"
]


class PatientPage(Schema):
    """A page of patients."""

    items: list[PatientOut]
    next: str | None


class PatientSearchIn(Strict):
    """A patient's name or number, or a part of it."""

    q: str = Field(min_length=1, max_length=250)


class PatientDetailOut(Schema):
    """A patient and their readings, the latest exam first."""

    patient: PatientOut
    names: list[str] = Field(description="As readings have them.")
    numbers: list[str]
    readings: list[ReadingOut]
    has_more: bool = Field(description="Whether there are more readings than listed.")


class FindingIn(Strict):
    """A finding."""

    code: FindingCode
    side: Literal["right", "left", "both", ""] = ""
    lobes: list[Literal["RUL", "RML", "RLL", "LUL", "LLL"]] = Field(
        default_factory=list, max_length=5
    )
    text: str = Field("", max_length=200)


class ReviewIn(Strict):
    """What a draft of an opinion says. A doctor signs it on the reading's page."""

    verdict: Verdict
    confidence: ConfidenceCode = ""
    findings: list[FindingIn] = Field(default_factory=list, max_length=9)
    note: str = Field("", max_length=2000)


class ReviewOut(Schema):
    """A doctor's recorded opinion."""

    stage: Literal["FIRST", "SIGNED", "ADDENDUM", "SECOND", "ARBITER"]
    author: str
    recorded_at: datetime.datetime
    verdict: Verdict
    confidence: ConfidenceCode
    findings: list[dict[str, Any]]
    note: str


class ReviewsOut(Schema):
    """The opinions about a reading, oldest first."""

    items: list[ReviewOut]
    is_signed: bool
    draft: dict[str, Any] | None = Field(description="Your own draft, as the page's form has it.")


class BatchOut(Schema):
    """A batch and how many of its files are in which state."""

    id: uuid.UUID
    created_at: datetime.datetime
    cancelled_at: datetime.datetime | None
    total: int
    waiting: int = Field(description="Wait to be read or are being read.")
    inbox: int = Field(description="Wait for patient data or a decision.")
    done: int
    failed: int
    stopped: int = Field(description="Were cancelled or removed.")
    problems: list[str] = Field(description="What is wrong with CSV and ZIP files.")
    page: str = Field(description="The page for people.")


class BatchPage(Schema):
    """A page of batches, newest first."""

    items: list[BatchOut]
    next: str | None


class BatchItemOut(Schema):
    """A file of a batch. It becomes the reading `reading_id` once it is DONE."""

    id: uuid.UUID
    file: str
    sha256: str
    bytes: int
    state: ItemStateCode
    problem: str = Field(description="Why it is not read; empty without a problem.")
    reading_id: uuid.UUID | None
    changed_at: datetime.datetime


class BatchItemPage(Schema):
    """A page of a batch's files, in the order in which they were sent."""

    items: list[BatchItemOut]
    next: str | None


class ReceivedOut(Schema):
    """What became of a file that was sent."""

    items: list[BatchItemOut]
    new: int = Field(description="How many of them were not there before.")
    problems: list[str]


class ItemPatientIn(Strict):
    """Whose X-ray a file of a batch is; text as the form has it."""

    patient_name: str = Field("", max_length=120)
    patient_number: str = Field("", max_length=64)
    patient_sex: Literal["F", "M", "O", ""] = ""
    patient_birth_date: str = Field("", max_length=20)
    patient_age_years: str = Field("", max_length=3)
    exam_date: str = Field("", max_length=20)


class ModelOut(Schema):
    """A registered model."""

    name: str
    bundle_sha256: str
    is_active: bool
    created_at: datetime.datetime
    set_aside_reason: str
    url: str


class ModelDetailOut(ModelOut):
    """A registered model with its card."""

    card: dict[str, Any]


class TokenOut(Schema):
    """The token that a request was sent with."""

    name: str
    account: str
    scopes: list[str]
    expires_at: datetime.datetime


class CheckOut(Schema):
    """The outcome of a check; `why` is a word without details."""

    ok: bool
    why: str | None = None


class HealthOut(Schema):
    """Whether readings are possible now."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, CheckOut]
