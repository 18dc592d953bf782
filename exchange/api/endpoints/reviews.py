"""Doctors' opinions. A program may prepare a draft; only a doctor signs, on the page."""

import uuid
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext_noop
from ninja import Router, Status

from accounts.audit.recording import record_access
from diagnosis import serving
from diagnosis.forms.opinions import OpinionForm, entered
from diagnosis.models import Opinion, Reading, Review, Stage
from diagnosis.services import opinions
from exchange.api.authentication import Token
from exchange.api.problems import of_form
from exchange.api.schemas.others import ReviewIn, ReviewsOut

router = Router(tags=[gettext_noop("Reviews")])
READ, WRITE = Token("reviews:read"), Token("reviews:write")


@router.get(
    "/readings/{uuid:reading_id}/reviews",
    auth=READ,
    response=ReviewsOut,
    operation_id="list_reviews",
    summary=gettext_noop("List the opinions about a reading"),
)
def list_reviews(request: HttpRequest, reading_id: uuid.UUID) -> dict[str, Any]:
    """List the recorded opinions, oldest first, and the account's own draft.

    Until the second opinion is recorded, colleagues of the doctor see none.
    """
    reading = serving.reading_for(request, reading_id)
    record_access(reading, what="api-reading")
    return _reviews(request, reading)


def _reviews(request: HttpRequest, reading: Reading) -> dict[str, Any]:
    recorded = Opinion.objects.filter(reading=reading).select_related("author")
    review = Review.objects.filter(reading=reading).first()
    if reading.is_sealed and reading.doctor_id != request.user.pk:
        # Of somebody who may be asked for an independent opinion.
        recorded, review = recorded.none(), None
    draft = opinions.draft_of(reading, request.user)  # type: ignore[arg-type]
    return {
        "items": [_opinion(each) for each in recorded],
        "is_signed": review is not None and review.is_signed,
        "draft": draft.content if draft is not None else None,
    }


def _opinion(opinion: Opinion) -> dict[str, Any]:
    return {
        "stage": opinion.stage,
        "author": opinion.author.display_name,
        "recorded_at": opinion.recorded_at,
        "verdict": opinion.verdict,
        "confidence": opinion.confidence,
        "findings": opinion.findings,
        "note": opinion.note,
    }


@router.post(
    "/readings/{uuid:reading_id}/reviews",
    auth=WRITE,
    response={201: ReviewsOut},
    operation_id="draft_review",
    summary=gettext_noop("Prepare an opinion for its doctor"),
)
def draft_review(request: HttpRequest, reading_id: uuid.UUID, review: ReviewIn) -> Any:
    """Keep a draft of the opinion about one of the account's own readings, replacing the last.

    A draft counts as nothing: no result is shown because of it, and only its doctor sees it, in
    the form on the reading's page, where it can be changed, recorded and signed.
    """
    user: Any = request.user
    reading = Reading.objects.own_of(user).with_withheld(user).filter(pk=reading_id).first()
    if reading is None:
        raise serving.denied(reading_id)
    data = _form_data(review)
    form = OpinionForm(data, stage=_stage(reading))
    if not form.is_valid():
        raise of_form(form)
    try:
        opinions.save_draft(doctor=user, reading_id=reading_id, entered=entered(data))
    except Reading.DoesNotExist:
        raise serving.no_such_reading() from None
    return Status(201, _reviews(request, reading))


def _stage(reading: Reading) -> Stage:
    return opinions.next_stage(reading, Review.objects.filter(reading=reading).first())


def _form_data(review: ReviewIn) -> QueryDict:
    data = QueryDict(mutable=True)
    data["verdict"], data["confidence"], data["note"] = (
        review.verdict, review.confidence, review.note,
    )  # fmt: skip
    data.setlist("findings", [each.code for each in review.findings])
    data.setlist("lobes", [lobe for each in review.findings for lobe in each.lobes])
    for each in review.findings:
        data[f"side_{each.code}"], data[f"text_{each.code}"] = each.side, each.text
    return data
