"""Which routing rule an X-ray matches, and which doctor it goes to."""

import re
from collections.abc import Iterable

from django.db.models import Case, Value, When

from accounts.models import User
from diagnosis.models import Team, TeamMembership
from diagnosis.search import folded
from exchange.incoming import facts
from exchange.incoming.facts import Facts
from exchange.incoming.models import RoutingRule

Rule = RoutingRule


def active_rules() -> list[Rule]:
    """Return the rules in use, in the order in which they are tried."""
    rules = RoutingRule.objects.filter(is_active=True).select_related("doctor", "team")
    return list(rules.order_by("position", "id"))


def first_match(rules: Iterable[Rule], calling_ae: str, stated: Facts) -> Rule | None:
    """Return the first rule that decides about an X-ray.

    Args:
        rules: in the order in which they are tried.
        calling_ae: AE title of the machine that sent it.
        stated: what its header states.
    """
    return next((rule for rule in rules if matches(rule, calling_ae, stated)), None)


def matches(rule: Rule, calling_ae: str, stated: Facts) -> bool:
    """Return whether a rule decides about an X-ray."""
    if stated.get(facts.UNREAD) and not (rule.takes_unread or rule.action == Rule.Action.KEEP_OUT):
        return False
    pairs = [
        (rule.calling_ae, calling_ae),
        (rule.station, stated.get(facts.STATION, "")),
        (rule.institution, stated.get(facts.INSTITUTION, "")),
        (rule.modality, stated.get(facts.MODALITY, "")),
        (rule.body_part, stated.get(facts.BODY_PART, "")),
    ]
    return all(_fits(pattern, value) for pattern, value in pairs) and _fits_age(rule, stated)


def _fits(pattern: str, value: str) -> bool:
    """Return whether a value fits a pattern; an empty pattern fits every value."""
    if not pattern.strip():
        return True
    parts = [re.escape(part) for part in folded(pattern).split("*")]
    return re.fullmatch(".*".join(parts), folded(value), re.DOTALL) is not None


def _fits_age(rule: Rule, stated: Facts) -> bool:
    if rule.age_from is None and rule.age_to is None:
        return True
    age = facts.age_in(stated)
    if age is None:
        return False
    return (rule.age_from is None or rule.age_from <= age) and (
        rule.age_to is None or age <= rule.age_to
    )


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
