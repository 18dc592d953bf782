"""Second readings: an independent opinion of a colleague, and an arbiter where the two differ.

A team's rule says which readings get one (`Team.second_reading`). It is decided when the first
doctor signs. From the upload until the second opinion is recorded, the other members of the team
see neither the first opinion nor the model's result (`Reading.second_state`, `INDEPENDENT`).
"""

import secrets
import uuid
from typing import TYPE_CHECKING, Any, Protocol

from django.db import transaction

from accounts.audit import recording
from diagnosis.models import (
    Agreement,
    Opinion,
    Reading,
    Review,
    SecondReadingRule,
    SecondState,
    Stage,
    Team,
)
from diagnosis.models.findings import summary
from diagnosis.signals import Change, reading_changed

if TYPE_CHECKING:
    from accounts.models import User

EVENTS = {Stage.SECOND: "second-opinion", Stage.ARBITER: "arbitrated"}


class Content(Protocol):
    """What an opinion says, a `services.opinions.Content`."""

    @property
    def findings(self) -> list[dict[str, Any]]: ...

    def as_fields(self) -> dict[str, Any]: ...


class NotAskedError(Exception):
    """Raised when an opinion is sent that the reading does not wait for, as by a second tab."""


def state_before_signing(team: Team | None) -> str | None:
    """Return the state of an unsigned reading in a team."""
    return SecondState.HELD if team is not None and team.second_reading else None


def state_in(team: Team | None, reading: Reading) -> str | None:
    """Return the state of a reading that is moved to a team; a signed one is not read again."""
    is_signed = Review.objects.filter(reading=reading, signed_at__isnull=False).exists()
    return None if is_signed else state_before_signing(team)


def ask_after_signing(reading: Reading, *, agreement: str) -> None:
    """Decide by the team's rule whether a reading that was just signed is read a second time.

    Args:
        reading: the reading, locked.
        agreement: its `Agreement` with the signed opinion.
    """
    if reading.second_state != SecondState.HELD:
        return
    wanted = reading.team is not None and _is_chosen(reading.team, reading, agreement)
    state = SecondState.WAITS if wanted else None
    Reading.objects.filter(pk=reading.pk).update(second_state=state)
    reading.second_state = state
    if wanted:
        recording.record_access(reading, what="second-asked")


def _is_chosen(team: Team, reading: Reading, agreement: str) -> bool:
    if not team.memberships.exclude(user_id=reading.doctor_id).exists():
        return False
    match team.second_reading:
        case SecondReadingRule.ALL:
            return True
        case SecondReadingRule.DISAGREEMENT:
            return agreement == Agreement.DISAGREE
        case SecondReadingRule.SAMPLE:
            return secrets.randbelow(100) < team.second_percent
    return False


def waiting_for(user: "User") -> dict[str, int]:
    """Return the numbers of readings that wait for `user`, by the worklist's scope."""
    if not user.team_memberships.exists():
        return {}
    second = Reading.objects.for_second_reading(user).order_by().count()
    return {"second": second, "arbiter": Reading.objects.for_arbiter(user).order_by().count()}


def asked_of(user: "User", reading: Reading) -> Stage | None:
    """Return the opinion that is asked of `user`: `SECOND`, `ARBITER`, or None."""
    if reading.second_state == SecondState.WAITS:
        found, stage = Reading.objects.for_second_reading(user), Stage.SECOND
    elif reading.second_state == SecondState.SPLIT:
        found, stage = Reading.objects.for_arbiter(user), Stage.ARBITER
    else:
        return None
    return stage if found.filter(pk=reading.pk).exists() else None


@transaction.atomic
def record(*, by: "User", reading_id: uuid.UUID, content: Content, stage: Stage | str) -> Opinion:
    """Record a second opinion or an arbiter's decision. It is never changed.

    If a second opinion and the doctor's have different verdicts, the reading waits for an arbiter.

    Args:
        by: a member of the reading's team, but not its doctor; an arbiter is not the second reader
            either.
        reading_id: the reading.
        content: what `by` sees.
        stage: `SECOND` or `ARBITER`.

    Raises:
        NotAskedError: the reading does not wait for this, or not for `by`.
    """
    reading = Reading.objects.team_of(by).select_for_update(of=("self",)).filter(pk=reading_id)
    locked = reading.defer("activation_map").first()
    if locked is None or asked_of(by, locked) != stage:
        raise NotAskedError
    opinion = Opinion.objects.create(reading=locked, author=by, stage=stage, **content.as_fields())
    state = SecondState.DONE
    if stage == Stage.SECOND:
        first = Review.objects.get(reading=locked)
        state = SecondState.DONE if first.verdict == opinion.verdict else SecondState.SPLIT
    Reading.objects.filter(pk=locked.pk).update(second_state=state)
    said = content.as_fields() | {"findings": summary(content.findings)}
    changes = {name: ["", value] for name, value in said.items() if value}
    recording.record_change(locked, what=EVENTS[Stage(stage)], changes=changes)
    reading_changed.send(Reading, reading=locked, what=Change.OPINION)
    return opinion
