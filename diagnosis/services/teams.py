"""Teams: who is a member, which team shares a reading, and who is to work on it."""

import enum
import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Coalesce

from accounts.audit import recording
from accounts.models import User
from diagnosis.models import Reading, Team, TeamMembership
from diagnosis.models.choices import UNSETTLED, SecondState
from diagnosis.services.second_readings import state_in
from diagnosis.signals import Change, reading_changed

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class TeamChoice(enum.Enum):
    """How the team of a new reading is chosen, if it is not named."""

    SOLE = "the doctor's team, if the doctor is a member of exactly one"


class AwaitedError(Exception):
    """Raised when a reading would leave the team whose second reader or arbiter it waits for."""


class NotAMemberError(Exception):
    """Raised when somebody would work on a reading of a team without being a member of it."""


def teams_of(user: "User | AnonymousUser") -> QuerySet[Team]:
    """Return the teams that `user` is a member of, by name."""
    if user.pk is None:
        return Team.objects.none()
    return Team.objects.filter(memberships__user_id=user.pk).order_by("name", "id")


def colleagues_of(user: User) -> QuerySet[User]:
    """Return the members of the user's teams, the user among them; none without a team."""
    teams = TeamMembership.objects.filter(user=user).values("team")
    members = User.objects.filter(team_memberships__team__in=teams).distinct()
    return members.order_by("display_name", "pk")


def team_for(doctor: User, team: Team | TeamChoice | None) -> Team | None:
    """Return the team that shares a new reading of `doctor`.

    Raises:
        PermissionDenied: the doctor is no member of the team.
    """
    if team is None:
        return None
    own = list(teams_of(doctor))
    if isinstance(team, TeamChoice):
        return own[0] if len(own) == 1 else None
    if team not in own:
        raise PermissionDenied
    return team


@transaction.atomic
def share_with_team(*, doctor: User, reading_ids: Collection[uuid.UUID], team: Team | None) -> int:
    """Share some of the doctor's own readings with a team, or with none any more.

    Whoever the readings are assigned to keeps them only as a member of the new team.

    Returns:
        The number of readings that were changed.

    Raises:
        PermissionDenied: the doctor is no member of the team.
        AwaitedError: a colleague is to read it, or to decide; otherwise doctors could avoid that.
    """
    team = team_for(doctor, team)
    own = Reading.objects.own_of(doctor).filter(pk__in=reading_ids).exclude(team=team)
    readings = list(own.select_for_update(of=("self",)).defer("activation_map"))
    if any(_is_awaited(reading) for reading in readings):
        raise AwaitedError
    for reading in readings:
        was_unsettled = reading.second_state in UNSETTLED
        reading.team, reading.second_state = team, state_in(team, reading)
        if not _may_work_on(reading, reading.assigned_to):
            reading.assigned_to = None
        with recording.event("team-changed"):
            reading.save(update_fields=["team", "second_state", "assigned_to", "updated_at"])
        if was_unsettled and reading.second_state not in UNSETTLED:
            reading_changed.send(Reading, reading=reading, what=Change.RELEASED)
    return len(readings)


def _is_awaited(reading: Reading) -> bool:
    """Return whether a signed reading waits for somebody in its team."""
    if reading.second_state not in (SecondState.WAITS, SecondState.SPLIT) or reading.team is None:
        return False
    return reading.team.memberships.exclude(user_id=reading.doctor_id).exists()


@transaction.atomic
def assign_reading(*, by: User, reading_id: uuid.UUID, to: User | None) -> Reading:
    """Assign a reading to a member of its team, or to nobody.

    Args:
        by: a member of the reading's team, or the reading's doctor.
        reading_id: the reading.
        to: who is to work on it; the reading's doctor is possible without a team, too.

    Raises:
        Reading.DoesNotExist: `by` may not see the reading on the worklist.
        NotAMemberError: `to` is no member of the reading's team.
    """
    readings = Reading.objects.worklist_of(by).defer("activation_map")
    reading: Reading = readings.select_for_update(of=("self",)).get(pk=reading_id)
    if not _may_work_on(reading, to):
        raise NotAMemberError
    if reading.assigned_to != to:
        reading.assigned_to = to
        with recording.event("assigned"):
            reading.save(update_fields=["assigned_to", "updated_at"])
    return reading


def _may_work_on(reading: Reading, user: User | None) -> bool:
    if user is None or user.pk == reading.doctor_id:
        return True
    if reading.team_id is None:
        return False
    return TeamMembership.objects.filter(team_id=reading.team_id, user=user).exists()


@transaction.atomic
def save_member(*, supervisor: User, membership: TeamMembership) -> None:
    """Add a doctor to a team, or change the role in it.

    Raises:
        PermissionDenied: the account may not oversee readings.
    """
    _require_supervisor(supervisor)
    with recording.event("member-changed" if membership.pk else "member-added"):
        membership.save()


@transaction.atomic
def remove_member(*, supervisor: User, membership: TeamMembership) -> None:
    """End a doctor's access to the readings of a team.

    The doctor's own readings stay in the team: its members go on working on them. Readings of
    others that were assigned to the doctor are assigned to nobody.

    Raises:
        PermissionDenied: the account may not oversee readings.
    """
    _require_supervisor(supervisor)
    _end(membership)


@transaction.atomic
def leave_out(*, lead: User, membership_id: int) -> TeamMembership:
    """End a member's access to the readings of a team, as a lead of the team.

    A lead can narrow who sees patients' data. Only supervisors widen it, and appoint leads.

    Raises:
        TeamMembership.DoesNotExist: it is of no team that `lead` leads, or of a lead.
    """
    members = TeamMembership.objects.select_for_update(of=("self",)).select_related("user", "team")
    membership = members.get(
        pk=membership_id, team__in=_led_by(lead), role=TeamMembership.Role.MEMBER
    )
    _end(membership)
    return membership


def _led_by(user: User) -> QuerySet[Any]:
    leads = TeamMembership.objects.filter(user=user, role=TeamMembership.Role.LEAD)
    return leads.order_by().values("team")


def workload(user: User) -> dict[tuple[int, int | None], int]:
    """Return how many readings wait in the user's teams, by team and by whom they wait for.

    These are the readings that are assigned to a member, and otherwise those of their doctor.
    """
    waiting = Reading.objects.team_of(user).filter(waiting_since__isnull=False).order_by()
    whose = Coalesce("assigned_to_id", "doctor_id")
    counted = waiting.values("team_id", whose=whose).annotate(n=Count("pk"))
    return {(row["team_id"], row["whose"]): row["n"] for row in counted}


def _end(membership: TeamMembership) -> None:
    assigned = Reading.objects.filter(team=membership.team_id, assigned_to=membership.user_id)
    for reading in assigned.exclude(doctor=membership.user_id).defer("activation_map"):
        reading.assigned_to = None
        with recording.event("assigned"):
            reading.save(update_fields=["assigned_to", "updated_at"])
    with recording.event("member-removed"):
        membership.delete()


def _require_supervisor(user: User) -> None:
    if not user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
