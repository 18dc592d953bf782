"""Filters for dates in sentences, available in every template without `{% load %}`.

Tables use Django's own filter: `{{ day|date }}` is 2026-11-27, and
`{{ when|date:"DATETIME_FORMAT" }}` is 2026-11-27 14:05.
"""

from datetime import date, datetime

from django import template
from django.utils.formats import date_format, get_format_modules

register = template.Library()


@register.filter(expects_localtime=True)
def long_date(value: date | datetime | None) -> str:
    """Return a day as sentences have it: "27 November 2026", "2026 年 11 月 27 日".

    Example:
        `{% blocktranslate with day=end|long_date %}Kept until {{ day }}.{% endblocktranslate %}`
    """
    return date_format(value, _format("LONG_DATE_FORMAT")) if value else ""


@register.filter(expects_localtime=True)
def long_datetime(value: datetime | None) -> str:
    """Return a time as sentences have it: "27 November 2026, 14:05"."""
    return date_format(value, _format("LONG_DATETIME_FORMAT")) if value else ""


def _format(name: str) -> str:
    """Return a format of the active language, or of English where it defines none."""
    for module in (*get_format_modules(), *get_format_modules("en")):
        if hasattr(module, name):
            return str(getattr(module, name))
    raise LookupError(f"No format named {name} is defined.")
