"""Readings, with their patients, results and what has to be decided before they are stored."""

import datetime
import uuid
from typing import Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from exchange.api.schemas.common import Strict

Result = Literal["NORMAL", "PNEUMONIA", "UNSURE", "OUT_OF_SCOPE"]
SexCode = Literal["F", "M", "O", ""]
MAX_REASON = 300


class PatientOut(Schema):
    """The patient as stated with this reading."""

    id: uuid.UUID | None = Field(description="For `/patients/{id}`; null if not linked.")
    name: str
    number: str
    sex: SexCode
    birth_date: datetime.date | None
    age_years: int


class RuleOut(Schema):
    """The rule of decision with three outcomes."""

    normal_below: float = Field(description="Below this probability: NORMAL.")
    pneumonia_from: float = Field(description="From it on: PNEUMONIA. Between both: UNSURE.")
    text: str = Field(description="The rule as a sentence.")


class ScopeOut(Schema):
    """Whether the X-ray resembles those that the model was validated on."""

    reasons: list[str] = Field(description="Codes; empty within the scope.")
    texts: list[str] = Field(description="The reasons as sentences.")
    score: float
    threshold: float


class ResultOut(Schema):
    """The model's result. Decision support only; it does not replace a doctor."""

    label: Result
    probability: float | None = Field(description="Of pneumonia; null out of scope.")
    probability_text: str | None = Field(description="As pages show it; null out of scope.")
    probabilities: dict[str, float] | None = Field(description="By label; null out of scope.")
    threshold: float = Field(description="For ranking and comparing models; decides no result.")
    rule: RuleOut | None
    scope: ScopeOut
    image_hints: list[str] = Field(description="Sentences about the image's quality.")


class ModelRef(Schema):
    """The model that read the X-ray."""

    name: str
    bundle_sha256: str
    preprocessing: str
    url: str


class FilmOut(Schema):
    """The uploaded file."""

    sha256: str
    format: str
    bytes: int
    width: int
    height: int
    modality: str
    view: str
    body_part: str


class ReadingLinks(Schema):
    """Addresses of what belongs to a reading."""

    self: str
    film: str
    heatmap: str | None = Field(description="Null while the result is withheld.")
    report: str | None = Field(description="Null while the result is withheld.")
    reviews: str
    page: str = Field(description="The page for people.")


class ReadingOut(Schema):
    """A reading: one X-ray, one patient, one doctor, one model version."""

    id: uuid.UUID
    created_at: datetime.datetime
    updated_at: datetime.datetime
    deleted_at: datetime.datetime | None = Field(description="Deleted ones: supervisors only.")
    doctor: str
    exam_date: datetime.date
    patient: PatientOut
    withheld: bool = Field(
        description="Blind-first: the result follows after the doctor's own opinion."
    )
    result: ResultOut | None = Field(description="Null while it is withheld.")
    own_verdict: str = Field(description="The doctor's assessment; empty before it is recorded.")
    is_done: bool = Field(description="Whether it no longer waits for its doctor.")
    team: str | None
    discrepancies: list[dict[str, Any]] = Field(
        description="What was decided where file, form and earlier readings differ."
    )
    film: FilmOut
    model: ModelRef
    links: ReadingLinks


class ReadingPage(Schema):
    """A page of readings."""

    items: list[ReadingOut]
    next: str | None = Field(description="For `cursor`; null on the last page.")


class ChoiceIn(Strict):
    """Which side is right about one field."""

    choose: Literal["file", "form", "disowned"]
    reason: str = Field("", max_length=MAX_REASON, description="Needed unless the file is right.")


class DecisionsIn(Strict):
    """What was decided about the conflicts that a 409 has stated."""

    fields: dict[str, ChoiceIn] = Field(
        default_factory=dict, description="By field of `conflicts.fields`."
    )
    seen: list[uuid.UUID] = Field(
        default_factory=list, max_length=100, description="Ids of `conflicts.same_film`."
    )
    film_reason: str = Field(
        "", max_length=MAX_REASON, description="Why the X-ray is stored under another patient too."
    )
    same_as: uuid.UUID | None = Field(
        None, description="Id out of `conflicts.same_number`: it is the same patient."
    )
    number_reason: str = Field(
        "", max_length=MAX_REASON, description="Why another patient has the same number."
    )
    number_is_right: bool = Field(
        False, description="The number is right although its check digit is not."
    )


class UploadFields(Schema):
    """The fields of a multipart upload; what a DICOM file states may be left out."""

    model_config = ConfigDict(extra="ignore")

    patient_name: str = Field("", max_length=120)
    patient_number: str = Field("", max_length=64)
    patient_sex: SexCode = ""
    patient_birth_date: str = Field("", description="Such as 2023-05-01, 112/5/1 or 1120501.")
    patient_age_years: str = Field("", description="Follows from the date of birth if left out.")
    exam_date: str = Field("", description="Such as 2026-01-31.")
    team: str = Field("", description="Number of the team that shares the reading.")
    decisions: str = Field("", description="`DecisionsIn` as JSON, after a conflict.")


class CorrectionIn(Strict):
    """What to correct; fields left out stay as they are."""

    patient_name: str | None = Field(None, max_length=120)
    patient_number: str | None = Field(None, max_length=64)
    patient_sex: SexCode | None = None
    patient_birth_date: datetime.date | Literal[""] | None = Field(
        None, description="Empty to remove it."
    )
    patient_age_years: int | None = Field(None, ge=0, le=130)
    exam_date: datetime.date | None = None
    decisions: DecisionsIn | None = Field(None, description="After a conflict.")


class DeletedOut(Schema):
    """A deleted reading, until when its doctor can restore it."""

    id: uuid.UUID
    deleted_at: datetime.datetime
    undo_until: datetime.datetime


Sort = Literal[
    "read", "-read", "exam", "-exam", "age", "-age", "name", "-name", "result", "-result",
    "probability", "-probability", "triage",
]  # fmt: skip


class FilterIn(Schema):
    """The filters of the worklist."""

    scope: Literal["assigned", "team"] | None = Field(None, description="Left out: your own.")
    state: Literal["waiting", "unread", "done"] | None = None
    result: Result | None = None
    own: Literal["none", "differs", "NORMAL", "PNEUMONIA", "OTHER", "CANNOT_TELL"] | None = None
    tag: int | None = Field(None, ge=1, le=2**31)
    period: Literal["today", "week", "month"] | None = None
    read_from: datetime.date | None = None
    read_to: datetime.date | None = None
    date_from: datetime.date | None = None
    date_to: datetime.date | None = None
    age_from: int | None = Field(None, ge=0, le=130)
    age_to: int | None = Field(None, ge=0, le=130)
    sort: Sort = "-read"
    cursor: str = Field("", max_length=200, description="`next` of the page before.")
    limit: int = Field(50, ge=1, le=100)


class SearchIn(FilterIn, Strict):
    """The filters of the worklist, and a patient's name or number, which no address contains."""

    q: str = Field("", max_length=250, description="Patient's name or number.")
