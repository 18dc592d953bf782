"""Template filters for people and devices."""

import unicodedata
from typing import Any

from django import template
from django.utils.translation import gettext_lazy as _

from accounts import roles, user_agents
from accounts.models import User

register = template.Library()
COLOURS = 8


@register.filter
def initials(person: User) -> str:
    """Return the last two characters of a Chinese name, the initials of any other."""
    name = person.display_name.strip() or person.email
    if any(unicodedata.name(letter, "").startswith("CJK UNIFIED") for letter in name):
        return name.replace(" ", "")[-2:]
    words = name.split()
    return "".join(word[0] for word in [words[0], *words[1:][-1:]]).upper()


@register.filter
def colour(person: User) -> int:
    """Return a colour number that stays the same for each person."""
    return (person.pk or 0) % COLOURS


@register.inclusion_tag("partials/role_badge.html")
def role_badge(person: User) -> dict[str, Any]:
    """Show the role that an account really has, from its groups; prefetch them in lists.

    An account that is not approved has no role (see `accounts.backends`).
    """
    if not person.is_approved:
        return {}
    if person.is_superuser:
        return {"role": "administrator", "name": _("Administrator")}
    held = {group.name for group in person.groups.all()}
    role = next((one for one in roles.BADGES if one in held), None)
    return {"role": role, "name": roles.NAMES[role]} if role else {}


@register.filter
def device(user_agent: str) -> str:
    return user_agents.device_of(user_agent)
