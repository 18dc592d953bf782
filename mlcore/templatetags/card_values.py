"""How the figures of a model card are written."""

import math
from typing import Any

from django import template

register = template.Library()

NOT_KNOWN = "–"


@register.filter
def figure(value: Any, places: int = 3) -> str:
    """A number to so many places, or a dash where the card has none."""
    if not _is_finite(value):
        return NOT_KNOWN
    return f"{value:.{places}f}"


@register.filter
def percent(value: Any, places: int = 0) -> str:
    """A share as a percentage, or a dash where the card has none."""
    return f"{100 * value:.{places}f}%" if _is_finite(value) else NOT_KNOWN


@register.filter
def interval(ends: Any, places: int = 3) -> str:
    """An interval's two ends, or nothing where the card has none."""
    if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(map(_is_finite, ends)):
        return ""
    return f"{ends[0]:.{places}f}–{ends[1]:.{places}f}"


@register.filter
def signed(value: Any, places: int = 3) -> str:
    """A difference with its sign; the sign of minus is one."""
    return f"{value:+.{places}f}".replace("-", "−") if _is_finite(value) else NOT_KNOWN


@register.filter
def signed_interval(ends: Any, places: int = 3) -> str:
    """The two ends of a difference's interval, each with its sign."""
    return f"{signed(ends[0], places)} … {signed(ends[1], places)}"


@register.filter
def p_value(value: float) -> str:
    """A p value to three places; one below that is said to be below."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@register.filter
def sick(confusion: dict[str, int]) -> int:
    """Films labelled PNEUMONIA among those counted."""
    return confusion["tp"] + confusion["fn"]


@register.filter
def well(confusion: dict[str, int]) -> int:
    """Films labelled NORMAL among those counted."""
    return confusion["tn"] + confusion["fp"]


@register.filter
def duration(seconds: float) -> str:
    """Seconds as hours and minutes, or minutes, or seconds."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


@register.filter
def flat(arguments: dict[str, Any]) -> list[tuple[str, Any]]:
    """Arguments by name; those within another's as `outer.inner`."""
    rows: list[tuple[str, Any]] = []
    for name, value in arguments.items():
        if isinstance(value, dict):
            rows += [(f"{name}.{inner}", found) for inner, found in flat(value)]
        else:
            rows.append((name, value))
    return rows
