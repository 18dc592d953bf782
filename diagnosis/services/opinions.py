"""Recording opinions: the first one before the model's result, the signed one, and addenda."""

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from accounts.audit import recording
from diagnosis.models import Reading, Review, Verdict, agreement_of
from diagnosis.models.findings import finding, summary
from diagnosis.models.opinion import Confidence, Opinion, OpinionDraft, Stage
from diagnosis.services import second_readings
from diagnosis.signals import Change, reading_changed

if TYPE_CHECKING:
    from accounts.models import User

EVENTS = {
    Stage.FIRST: "opinion-first",
    Stage.SIGNED: "opinion-signed",
    Stage.ADDENDUM: "opinion-addendum",
}


class StageOverError(Exception):
    """Raised when an opinion of a stage is sent that the reading has passed, as by a second tab."""


@dataclass(frozen=True)
class Content:
    """What an opinion says.

    Attributes:
        verdict: a `Verdict`.
        findings: as `models.findings.finding` returns them.
        confidence: a `Confidence`, or "".
        note: free text, at most `NOTE_LENGTH` characters.
    """

    verdict: str
    findings: list[dict[str, Any]] = field(default_factory=list)
    confidence: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Check the codes.

        Raises:
            ValueError: one is unknown.
        """
        Verdict(self.verdict)
        if self.confidence:
            Confidence(self.confidence)
        for each in self.findings:
            finding(**each)

    def as_fields(self) -> dict[str, Any]:
        """Return the content by name of its field."""
        return {
            "verdict": str(self.verdict),
            "findings": self.findings,
            "confidence": str(self.confidence),
            "note": self.note,
        }


NOTHING = {"verdict": "", "findings": [], "confidence": "", "note": ""}


def next_stage(reading: Reading, review: Review | None) -> Stage:
    """Return what an opinion of the reading's doctor would be now."""
    if reading.withheld:
        return Stage.FIRST
    return Stage.SIGNED if review is None or not review.is_signed else Stage.ADDENDUM


@transaction.atomic
def record_opinion(
    *, doctor: "User", reading_id: uuid.UUID, content: Content, stage: Stage | str
) -> Opinion:
    """Record the doctor's opinion about one of their own readings.

    The first opinion about a blind-first reading makes the model's result available. What was
    recorded is never changed: after the signed opinion come addenda. The doctor's draft is removed.

    Args:
        doctor: the doctor who made the reading.
        reading_id: the reading.
        content: what the doctor sees.
        stage: the `Stage` that the doctor was asked for.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
        StageOverError: the reading is at another stage now; nothing is recorded.
    """
    reading = Reading.objects.own_of(doctor).select_for_update(of=("self",)).get(pk=reading_id)
    review = Review.objects.filter(reading=reading).first()
    if next_stage(reading, review) != stage:
        raise StageOverError
    opinion = Opinion.objects.create(
        reading=reading,
        author=doctor,
        stage=stage,
        seconds=None if stage == Stage.ADDENDUM else _seconds_since(reading.opened_at),
        **content.as_fields(),
    )
    _make_current(reading, review, opinion)
    OpinionDraft.objects.filter(reading=reading, doctor=doctor).delete()
    reading_changed.send(Reading, reading=reading, what=Change.OPINION)
    return opinion


def _seconds_since(opened_at: Any) -> int | None:
    return (
        None if opened_at is None else max(0, round((timezone.now() - opened_at).total_seconds()))
    )


def _make_current(reading: Reading, review: Review | None, opinion: Opinion) -> None:
    before = NOTHING if review is None else {name: getattr(review, name) for name in NOTHING}
    after = {name: getattr(opinion, name) for name in NOTHING}
    review = review or Review(reading=reading)
    for name, value in after.items():
        setattr(review, name, value)
    review.doctor, review.opinion = opinion.author, opinion
    if opinion.stage != Stage.FIRST:
        review.signed_at = review.signed_at or opinion.recorded_at
    review.save()
    changed: dict[str, Any] = {"agreement": agreement_of(reading.label, opinion.verdict)}
    if reading.withheld:
        changed |= {"withheld": False, "answer_shown_at": opinion.recorded_at}
    # An update instead of `save`: the reading itself and its `updated_at` do not change.
    Reading.objects.filter(pk=reading.pk).update(**changed)
    if opinion.stage == Stage.SIGNED:
        second_readings.ask_after_signing(reading, agreement=changed["agreement"])
    before, after = _in_words(before), _in_words(after)
    changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    recording.record_change(reading, what=EVENTS[Stage(opinion.stage)], changes=changes)


def _in_words(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"findings": summary(content["findings"])}


def review_reading(
    *, doctor: "User", reading_id: uuid.UUID, verdict: Verdict | str, note: str = ""
) -> Review:
    """Record verdict and note alone, at whatever stage the reading is; repeat nothing.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
        ValueError: `verdict` is not a `Verdict`.
    """
    content = Content(verdict=Verdict(verdict), note=note)
    with transaction.atomic():
        reading = Reading.objects.own_of(doctor).select_for_update(of=("self",)).get(pk=reading_id)
        review = Review.objects.filter(reading=reading).first()
        stage = next_stage(reading, review)
        is_same = review is not None and (review.verdict, review.note) == (verdict, note)
        if stage != Stage.ADDENDUM or not is_same:
            record_opinion(doctor=doctor, reading_id=reading_id, content=content, stage=stage)
    return Review.objects.get(reading_id=reading_id)


@transaction.atomic
def save_draft(*, doctor: "User", reading_id: uuid.UUID, entered: dict[str, Any]) -> None:
    """Keep what the doctor has entered so far. Drafts are not recorded in the audit log.

    Args:
        entered: values of the form by field, as `forms.opinions.entered` cleans them; empty to
            remove the draft.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
    """
    reading = Reading.objects.own_of(doctor).select_for_update(of=("self",)).get(pk=reading_id)
    if not entered:
        OpinionDraft.objects.filter(reading=reading, doctor=doctor).delete()
        return
    OpinionDraft.objects.update_or_create(
        reading=reading, doctor=doctor, defaults={"content": entered}
    )


def draft_of(reading: Reading, doctor: "User") -> OpinionDraft | None:
    """Return the doctor's draft for a reading."""
    return OpinionDraft.objects.filter(reading=reading, doctor=doctor).first()


def drafted_by(doctor: "User") -> Any:
    """Return the doctor's own readings with a draft, for a list."""
    return Reading.objects.own_of(doctor).filter(opinion_drafts__doctor=doctor)
