"""Blind-first reading: the doctor's opinion before the model's answer.

Whether a reading is blind-first is decided when the film is read (`fields_for`), by the doctor's
own setting or by that of a team. Its answer is
withheld until its doctor has recorded a first opinion (`services.opinions`). Pages load readings
with `ReadingQuerySet.with_withheld`, which removes the answer from the objects themselves.
"""

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from diagnosis.models import INDEPENDENT, Reading
from diagnosis.querysets import is_withheld

if TYPE_CHECKING:
    from accounts.models import User


def withheld_from(reading: Reading, user: "User") -> bool:
    """Return whether the model's answer about a reading is withheld from `user`.

    See `ReadingQuerySet.answered` for lists.
    """
    return is_withheld(reading, user)


def reads_blind(doctor: "User") -> bool:
    """Return whether the films that `doctor` uploads now are read blind-first.

    The doctor may choose it, and a team may require it of its members. It then holds for all of
    their films: to upload one outside the team must not show what the team withholds.
    """
    return doctor.blind_first or doctor.teams.filter(blind_first=True).exists()


def fields_for(doctor: "User", *, film_sha256: str, pixels_sha256: str) -> dict[str, object]:
    """Return the fields of `Blinding` for a film that is being read.

    A film whose answer is withheld in another reading of the doctor, even a deleted one, or in one
    that waits for a second reading, is blind-first too: to upload it again does not reveal it.
    """
    blind = reads_blind(doctor) or _is_withheld_elsewhere(doctor, film_sha256, pixels_sha256)
    return {
        "blind_first": blind,
        "withheld": blind,
        "answer_shown_at": None if blind else timezone.now(),
    }


def _is_withheld_elsewhere(doctor: "User", film_sha256: str, pixels_sha256: str) -> bool:
    same = Q(film_sha256=film_sha256)
    if pixels_sha256:
        same |= Q(film_pixels_sha256=pixels_sha256)
    # From the few withheld ones; the hashes' indexes would lead to the same rows.
    known = Reading.objects.known_to(doctor)
    if known.filter(same, doctor=doctor, withheld=True).exists():
        return True
    others = known.filter(same, second_state__in=INDEPENDENT).exclude(doctor=doctor)
    return doctor.team_memberships.exists() and others.exists()
