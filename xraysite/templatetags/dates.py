"""Filters for dates, available in every template without `{% load %}`.

`{{ day|long_date }}` is "27 November 2026", `{{ when|long_datetime }}` "27 November 2026, 14:05".
Tables use `{{ day|date:"SHORT_DATE_FORMAT" }}` and `{{ when|date:"SHORT_DATETIME_FORMAT" }}`, in
which the user's choice of years holds.
"""

from typing import Any

from django import template
from django.template import defaultfilters

from xraysite.common import dates

register = template.Library()
register.filter("long_date", dates.long_date)
register.filter("long_datetime", dates.long_datetime)


@register.filter(name="date", expects_localtime=True, is_safe=False)
def in_chosen_years(value: Any, arg: str | None = None) -> str:
    """Return a date as Django's own filter does, in the years that the user has chosen."""
    if value in (None, "") or arg not in (dates.SHORT, dates.SHORT_TIME):
        return str(defaultfilters.date(value, arg))
    return dates.shown(value, arg)
