"""A case on the discussion board: what of a reading leaves, how, and how it is taken back.

A picture leaves, drawn anew from the film's pixels, and the text that the doctor wrote and looked
at. Of the patient, the age within five years. The board learns nothing else and no key of the
reading; `SharedCase` is the only trace, on this side.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import recording
from diagnosis import board
from diagnosis.board import SharedPost
from diagnosis.models import Label, Reading, SharedCase
from diagnosis.querysets import ReadingQuerySet
from diagnosis.services.films import original_film
from mlcore.engine.films.film import read_film
from mlcore.engine.films.redaction import Box, render_redacted

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

__all__ = ["Box", "CaseDraft"]

PICTURE_SIDE = 800
MAX_BOXES = 20
BAND_YEARS = 5
# So few are older that their age alone may tell who they are.
OLDEST_BAND = 90


@dataclass(frozen=True)
class CaseDraft:
    """What a doctor finds written when beginning to share a case.

    Attributes:
        title: one line.
        body: Markdown.
    """

    title: str
    body: str


def may_share(user: "User") -> bool:
    """Returns whether there is a board and `user` may post to it."""
    return board.is_connected() and board.current().may_post(user)


def age_band(years: int) -> str:
    """Returns the five years that an age in whole years is within; all from 90 on as one."""
    if years >= OLDEST_BAND:
        return f"{OLDEST_BAND}+"
    start = years - years % BAND_YEARS
    return f"{start}–{start + BAND_YEARS - 1}"


def default_text(reading: Reading) -> CaseDraft:
    """Returns title and text in the active language, from age band and the model's answer alone."""
    band = age_band(reading.patient_age_years)
    title = _("Chest film, %(age)s years, model: %(answer)s") % {
        "age": band,
        "answer": reading.get_label_display(),
    }
    lines = [
        _("Patient aged %(age)s years.") % {"age": band},
        _answer(reading),
        _("**What do you see?**"),
    ]
    return CaseDraft(title=title, body="\n\n".join(lines))


def _answer(reading: Reading) -> str:
    if reading.is_out_of_scope:
        return _("The film is outside what the model was validated on, so it said nothing.")
    values = {
        "answer": reading.get_label_display(),
        "probability": reading.probability_text,
    }
    if reading.label == Label.UNSURE:
        return (
            _(
                "The model cannot tell normal from pneumonia here"
                " (probability of pneumonia %(probability)s)."
            )
            % values
        )
    return _("The model says: %(answer)s (probability of pneumonia %(probability)s).") % values


def alternative(reading: Reading) -> str:
    """Returns the picture in words."""
    band = age_band(reading.patient_age_years)
    return _("Chest film of a patient aged %(age)s years") % {"age": band}


def redact(reading: Reading, boxes: Sequence[Box]) -> bytes:
    """Returns the picture that leaves: a PNG of the film, reduced, with `boxes` black.

    The same reading and boxes give the same bytes.

    Raises:
        ValueError: if there are more than `MAX_BOXES`.
        diagnosis.services.readings.FilmMissingError: if the film cannot be had.
    """
    if len(boxes) > MAX_BOXES:
        raise ValueError(f"At most {MAX_BOXES} boxes.")
    film = read_film(original_film(reading))
    return render_redacted(film, boxes, max_side=PICTURE_SIDE)


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
    """Posts a case from an own reading to the board; the same submission does it once.

    Args:
        category: a key of the board's `categories()`.
        body: Markdown.
        boxes: what is black in the picture.
        submission: the id of the form that was sent.

    Raises:
        Reading.DoesNotExist: if it is no reading of this doctor.
        PermissionDenied: if there is no board, or the doctor may not post to it.
        ValueError: if there are too many boxes, or the board refuses category or picture.
        diagnosis.services.readings.FilmMissingError: if the film cannot be had.
    """
    reading = Reading.objects.own_of(doctor).get(pk=reading_id)
    if not may_share(doctor):
        raise PermissionDenied
    # A film never changes: it is drawn before anything is locked.
    picture = redact(reading, boxes)
    with transaction.atomic():
        # Whoever deletes it now waits, and then withdraws this picture too.
        reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
        post = board.current().post_case(
            author=doctor,
            category=category,
            title=title,
            body=body,
            picture=picture,
            alternative=alternative(reading),
            submission=submission,
        )
        _note(reading, post, blackened=len(boxes))
    return post


def _note(reading: Reading, post: SharedPost, *, blackened: int) -> None:
    """Stores where the reading is shared, unless the same form did so before."""
    case, is_new = SharedCase.objects.get_or_create(
        picture_id=post.picture_id, defaults={"reading": reading, "url": post.url}
    )
    if is_new:
        detail = {"post": case.url, "picture": str(case.picture_id), "blackened": blackened}
        recording.record_access(reading, what="case-shared", detail=detail)


@transaction.atomic
def withdraw_case(*, doctor: "User", reading_id: uuid.UUID, picture_id: uuid.UUID) -> None:
    """Takes one picture of an own reading off the board, for good. The post was kept.

    Raises:
        Reading.DoesNotExist: if it is no reading of this doctor.
        SharedCase.DoesNotExist: if it has no such picture on the board.
    """
    reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
    case = reading.shared_cases.get(picture_id=picture_id, withdrawn_at__isnull=True)
    _withdraw(reading, [case])


@transaction.atomic
def withdraw_cases(reading: Reading) -> None:
    """Takes every picture of a reading off the board, for good.

    Call it with the reading's row locked, and before anything of the transaction is audited: who
    withdraws a picture on the board locks it first and the audit log after it.

    Without a board nothing shows the pictures, and nothing can remove them: that is logged.
    """
    standing = reading.shared_cases.filter(withdrawn_at__isnull=True)
    _withdraw(reading, list(standing.order_by("picture_id")))


def _withdraw(reading: Reading, cases: Sequence[SharedCase]) -> None:
    if not board.is_connected():
        for case in cases:
            logger.error("No board is installed: picture %s is not withdrawn.", case.picture_id)
        return
    for case in cases:
        board.current().withdraw(case.picture_id)
        case.withdrawn_at = timezone.now()
        case.save(update_fields=["withdrawn_at"])
    for case in cases:
        detail = {"post": case.url, "picture": str(case.picture_id)}
        recording.record_access(reading, what="case-withdrawn", detail=detail)


def with_sharing(readings: ReadingQuerySet) -> ReadingQuerySet:
    """Returns the readings, each knowing whether a picture of it stands on the board."""
    standing = SharedCase.objects.filter(reading=OuterRef("pk"), withdrawn_at__isnull=True)
    return readings.annotate(is_shared=Exists(standing))  # type: ignore[no-redef]
