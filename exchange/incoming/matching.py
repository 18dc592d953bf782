"""Which routing rule an X-ray matches."""

import re
from collections.abc import Iterable

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
