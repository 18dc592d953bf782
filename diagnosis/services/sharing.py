"""Share a reading as a case on the discussion board, and withdraw it again.

What leaves the reading: an image rendered from the film's pixels, with the doctor's boxes blacked
out, and the text that the doctor wrote and confirmed. The proposed text names the patient's age
group only. The board gets no key of the reading; `SharedCase`, on this side, is the only link.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import recording
from diagnosis import blind, board
from diagnosis.board import SharedPost
from diagnosis.models import INDEPENDENT, Label, Reading, SharedCase
from diagnosis.querysets import ReadingQuerySet
from diagnosis.services.films import original_film
from mlcore.decoding import decode_film
from mlcore.engine.films.redaction import Box, render_redacted

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

__all__ = ["Box", "CaseDraft"]

IMAGE_SIDE = 1600
MAX_BOXES = 20
AGE_GROUP_YEARS = 5
# Older people are so few that an exact age group could identify them.
OLDEST_AGE_GROUP = 90


@dataclass(frozen=True)
class CaseDraft:
    """The text that a doctor starts from when sharing a case.

    Attributes:
        title: one line.
        body: Markdown.
    """

    title: str
    body: str


def may_share(user: "User") -> bool:
    """Return whether a board is connected and `user` may post to it."""
    return board.is_connected() and board.current().may_post(user)


def is_independent(reading: Reading) -> bool:
    """Return whether a colleague may still have to read the X-ray without knowing the result."""
    return reading.second_state in INDEPENDENT


def age_group(years: int) -> str:
    """Return the five-year group of an age, such as "10–14"; "90+" from 90 on.

    Args:
        years: age in completed years.
    """
    if years >= OLDEST_AGE_GROUP:
        return f"{OLDEST_AGE_GROUP}+"
    start = years - years % AGE_GROUP_YEARS
    return f"{start}–{start + AGE_GROUP_YEARS - 1}"


def default_text(reading: Reading) -> CaseDraft:
    """Return a draft in the active language that contains age group and model result only.

    The result is in a part of the text that colleagues open after they have looked at the X-ray.
    """
    age = age_group(reading.patient_age_years)
    lines = [
        _("Patient aged %(age)s years.") % {"age": age},
        _("**What do you see?**"),
        board.current().hidden(_("Model's result"), _result_sentence(reading)),
    ]
    title = _("Chest X-ray, %(age)s years") % {"age": age}
    return CaseDraft(title=title, body="\n\n".join(lines))


def _result_sentence(reading: Reading) -> str:
    if reading.is_out_of_scope:
        return _("The X-ray is out of scope for the model, so there is no result.")
    values = {
        "result": reading.get_label_display(),
        "probability": reading.probability_text,
    }
    if reading.label == Label.UNSURE:
        return (
            _("The model's result is inconclusive (probability of pneumonia %(probability)s).")
            % values
        )
    return _("Model result: %(result)s (probability of pneumonia %(probability)s).") % values


def alt_text(reading: Reading) -> str:
    """Return the text alternative of the shared image."""
    age = age_group(reading.patient_age_years)
    return _("Chest X-ray of a patient aged %(age)s years") % {"age": age}


def redact(reading: Reading, boxes: Sequence[Box]) -> bytes:
    """Render the image to share: the film, reduced to `IMAGE_SIDE`, with boxes blacked out.

    Args:
        reading: the reading whose film is rendered.
        boxes: what to black out, at most `MAX_BOXES`.

    Returns:
        A greyscale PNG without metadata; the same bytes for the same reading and boxes.

    Raises:
        ValueError: there are too many boxes.
        diagnosis.services.films.FilmMissingError: the film is missing or altered.
    """
    if len(boxes) > MAX_BOXES:
        raise ValueError(f"At most {MAX_BOXES} boxes are allowed. Received: {len(boxes)}.")
    film = decode_film(original_film(reading))
    return render_redacted(film, boxes, max_side=IMAGE_SIDE)


def share_case(
    *,
    doctor: "User",
    reading_id: uuid.UUID,
    category: int,
    title: str,
    body: str,
    boxes: Sequence[Box],
    submission: uuid.UUID,
) -> SharedPost:
    """Post one of the doctor's own readings to the board.

    Args:
        doctor: the doctor who made the reading.
        reading_id: the reading.
        category: a key of the board's `categories(doctor)`.
        title: one line.
        body: Markdown.
        boxes: what is blacked out in the image.
        submission: the id of the submitted form; sending it twice posts one case.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
        PermissionDenied: no board is connected, the doctor may not post to it, or the answer is
            still withheld from the doctor, or from colleagues who may have to read the X-ray.
        ValueError: there are too many boxes, or the board rejects category or image.
        diagnosis.services.films.FilmMissingError: the film is missing or altered.
    """
    reading = Reading.objects.own_of(doctor).get(pk=reading_id)
    # The opinion comes first: the text would quote the model, and colleagues would answer.
    if not may_share(doctor) or blind.withheld_from(reading, doctor) or is_independent(reading):
        raise PermissionDenied
    # Films never change, so the image is rendered before any row is locked.
    image = redact(reading, boxes)
    with transaction.atomic():
        # A concurrent deletion waits for this lock, and then withdraws this image too.
        reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
        post = board.current().post_case(
            author=doctor,
            category=category,
            title=title,
            body=body,
            picture=image,
            alternative=alt_text(reading),
            submission=submission,
        )
        _record_case(reading, post, boxes=len(boxes))
    return post


def _record_case(reading: Reading, post: SharedPost, *, boxes: int) -> None:
    """Store and audit where the reading is shared, unless the same form already did."""
    case, is_new = SharedCase.objects.get_or_create(
        picture_id=post.picture_id, defaults={"reading": reading, "url": post.url}
    )
    if is_new:
        detail = _audit_detail(case) | {"blackened": boxes}
        recording.record_access(reading, what="case-shared", detail=detail)


@transaction.atomic
def withdraw_case(*, doctor: "User", reading_id: uuid.UUID, picture_id: uuid.UUID) -> None:
    """Remove one image of the doctor's own reading from the board; the post stays.

    Args:
        doctor: the doctor who made the reading.
        reading_id: the reading.
        picture_id: the board's id of the image.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
        SharedCase.DoesNotExist: the reading has no such image on the board.
    """
    reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
    case = reading.shared_cases.get(picture_id=picture_id, withdrawn_at__isnull=True)
    _withdraw(reading, [case])


@transaction.atomic
def withdraw_cases(reading: Reading) -> None:
    """Remove every image of a reading from the board permanently.

    Call it with the reading's row locked and before the transaction writes to the audit log: the
    board locks its picture first and the audit log second, and another order could deadlock.

    Without a connected board, nothing shows the images and nothing can remove them; that is logged
    as an error.
    """
    shared = reading.shared_cases.filter(withdrawn_at__isnull=True)
    _withdraw(reading, list(shared.order_by("picture_id")))


def _withdraw(reading: Reading, cases: Sequence[SharedCase]) -> None:
    if not board.is_connected():
        for case in cases:
            logger.error(
                "No discussion board is installed: image %s was not withdrawn.", case.picture_id
            )
        return
    for case in cases:
        board.current().withdraw(case.picture_id)
        case.withdrawn_at = timezone.now()
        case.save(update_fields=["withdrawn_at"])
    for case in cases:
        recording.record_access(reading, what="case-withdrawn", detail=_audit_detail(case))


def _audit_detail(case: SharedCase) -> dict[str, Any]:
    return {"post": case.url, "picture": str(case.picture_id)}


def with_sharing(readings: ReadingQuerySet[Reading]) -> ReadingQuerySet[Reading]:
    """Annotate each reading with `is_shared`, so that a list needs no query per row."""
    shared = SharedCase.objects.filter(reading=OuterRef("pk"), withdrawn_at__isnull=True)
    return readings.annotate(is_shared=Exists(shared))  # type: ignore[no-redef]
