"""Filters for dates in sentences, available in every template without `{% load %}`.

`{{ day|long_date }}` is "27 November 2026", `{{ when|long_datetime }}` "27 November 2026, 14:05".
Tables use `{{ day|date:"SHORT_DATE_FORMAT" }}` and `{{ when|date:"SHORT_DATETIME_FORMAT" }}`.
"""

from django import template

from xraysite.common import dates

register = template.Library()
register.filter("long_date", dates.long_date)
register.filter("long_datetime", dates.long_datetime)
