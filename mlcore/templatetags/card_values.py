"""Template filters that format the figures and phrases of a model card."""

import json
import math
from collections.abc import Iterable
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from mlcore.cards import words
from mlcore.cards.phrases import translated_phrase
from mlcore.engine.serving import resemblance

register = template.Library()

NOT_KNOWN = "–"


@register.filter
def figure(value: Any, places: int = 3) -> str:
    """Format a number to `places` decimals, or as a dash if the card has none."""
    if not _is_finite(value):
        return NOT_KNOWN
    return f"{value:.{places}f}"


@register.filter
def compact(value: Any) -> str:
    """Format a number to at most three decimals: 0.916, 0.75, 100."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if _is_finite(value) else NOT_KNOWN


@register.filter
def percent(value: Any, places: int = 0) -> str:
    """Format a proportion as a percentage, or as a dash if the card has none."""
    return f"{100 * value:.{places}f}%" if _is_finite(value) else NOT_KNOWN


@register.filter
def interval(ends: Any, places: int = 3) -> str:
    """Format the two ends of an interval, or return "" if the card has none."""
    if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(map(_is_finite, ends)):
        return ""
    return f"{ends[0]:.{places}f}–{ends[1]:.{places}f}"


@register.filter
def percents(ends: Any, places: int = 0) -> str:
    """Format the two ends of an interval of proportions as percentages, or return ""."""
    if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(map(_is_finite, ends)):
        return ""
    return f"{100 * ends[0]:.{places}f}–{100 * ends[1]:.{places}f}%"


@register.filter
def signed(value: Any, places: int = 3) -> str:
    """Format a difference with its sign, using the minus sign U+2212."""
    return f"{value:+.{places}f}".replace("-", "−") if _is_finite(value) else NOT_KNOWN


@register.filter
def signed_interval(ends: Any, places: int = 3) -> str:
    """Format the two ends of the interval of a difference, each with its sign."""
    return _("%(low)s to %(high)s") % {
        "low": signed(ends[0], places),
        "high": signed(ends[1], places),
    }


@register.filter
def p_value(value: float) -> str:
    """Format a p-value to three decimals; smaller values as "< 0.001"."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@register.simple_tag
def refusal_causes(model: str) -> dict[str, Any] | None:
    """Return what the images that a model refuses are said to resemble, for a table.

    Returns:
        "columns" and "rows", or None if it was measured with another model.
    """
    measured = json.loads(resemblance.FILE.read_text())["measured"]
    if measured["model"] != model:
        return None
    columns = ("films", "refused", *resemblance.CAUSES, "")
    return {
        "columns": [words.RESEMBLED[name] for name in columns[2:]],
        "rows": [
            {"name": words.REFUSED[kind], "counts": [row[name] for name in columns]}
            for kind, row in measured["confusion"].items()
        ],
    }


@register.filter
def positives(confusion: dict[str, int]) -> int:
    """Return the number of X-rays labelled PNEUMONIA in a confusion matrix."""
    return confusion["tp"] + confusion["fn"]


@register.filter
def negatives(confusion: dict[str, int]) -> int:
    """Return the number of X-rays labelled NORMAL in a confusion matrix."""
    return confusion["tn"] + confusion["fp"]


@register.filter
def duration(seconds: float) -> str:
    """Format seconds as hours and minutes, as minutes, or as seconds."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        values = {"hours": minutes // 60, "minutes": minutes % 60}
        return _("%(hours)d h %(minutes)d min") % values
    if minutes:
        return _("%(minutes)d min") % {"minutes": minutes}
    return _("%(seconds)d s") % {"seconds": round(seconds)}


@register.filter
def flat(arguments: dict[str, Any]) -> list[tuple[str, Any]]:
    """Flatten nested arguments; the names of inner ones become `outer.inner`."""
    rows: list[tuple[str, Any]] = []
    for name, value in arguments.items():
        if isinstance(value, dict):
            rows += [(f"{name}.{inner}", found) for inner, found in flat(value)]
        else:
            rows.append((name, value))
    return rows


@register.filter
def phrase(text: str) -> SafeString | str:
    """Return a phrase of a card in the reader's language; unknown ones are marked as English."""
    translated = translated_phrase(text)
    return format_html('<span lang="en">{}</span>', text) if translated is None else translated


@register.filter
def phrases(texts: Iterable[str]) -> SafeString:
    """Join phrases of a card, each in the reader's language, with the language's list comma."""
    comma = pgettext("between the words of a list", ", ")
    return format_html_join(comma, "{}", ((phrase(text),) for text in texts))


@register.filter
def result_name(result: str) -> Any:
    """Return the name of a result of the rule of decision in the reader's language."""
    return words.RESULTS.get(result, result)


@register.filter
def is_list(value: Any) -> bool:
    """Return whether a value is a list, which is shown as one."""
    return isinstance(value, list)
