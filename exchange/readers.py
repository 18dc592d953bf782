"""Which doctor reads an X-ray that nobody uploaded: from a machine, or from a watched folder."""

from django.db.models import Case, Value, When

from accounts.models import User
from diagnosis.models import Team, TeamMembership


def may_read(doctor: User) -> bool:
    """Return whether X-rays may be sent to an account now."""
    return doctor.is_active and doctor.has_perm("diagnosis.add_reading")


def owner_of(doctor: User | None, team: Team | None) -> User | None:
    """Return the doctor whose reading an X-ray becomes; None if nobody may read it.

    Args:
        doctor: who was chosen.
        team: who is to share it. Without a doctor, its lead reads, otherwise its first member.
    """
    if doctor is not None:
        is_member = team is None or team.memberships.filter(user=doctor).exists()
        return doctor if may_read(doctor) and is_member else None
    if team is None:
        return None
    lead_first = Case(When(role=TeamMembership.Role.LEAD, then=Value(0)), default=Value(1))
    members = team.memberships.select_related("user").order_by(lead_first, "joined_at", "pk")
    return next((member.user for member in members if may_read(member.user)), None)
