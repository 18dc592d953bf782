"""Template filters for people and devices."""

import unicodedata

from django import template

from accounts import user_agents
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


@register.filter
def device(user_agent: str) -> str:
    return user_agents.device_of(user_agent)
