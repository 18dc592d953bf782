"""How a person is shown where there is no picture, and a device where there is only its word."""

import unicodedata

from django import template

from accounts import user_agents
from accounts.models import User

register = template.Library()
COLOURS = 8


@register.filter
def initials(person: User) -> str:
    """Return the last two characters of a Chinese name, the first letters of another."""
    name = person.display_name.strip() or person.email
    if any(unicodedata.name(letter, "").startswith("CJK UNIFIED") for letter in name):
        return name.replace(" ", "")[-2:]
    words = name.split()
    return "".join(word[0] for word in [words[0], *words[1:][-1:]]).upper()


@register.filter
def colour(person: User) -> int:
    """Return the number of the person's colour, which stays the same."""
    return (person.pk or 0) % COLOURS


@register.filter
def device(user_agent: str) -> str:
    return user_agents.device_of(user_agent)
