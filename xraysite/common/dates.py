"""Dates in sentences, in the active language.

Tables use Django's own formats, such as `date_format(day, "SHORT_DATE_FORMAT")`.
"""

from datetime import date, datetime

from django.utils import timezone
from django.utils.formats import date_format, get_format_modules


def long_date(value: date | datetime | None) -> str:
    """Return a date for use in a sentence: "27 November 2026", "2026 年 11 月 27 日"."""
    return _formatted(value, "LONG_DATE_FORMAT")


def long_datetime(value: datetime | None) -> str:
    """Return a date and time for use in a sentence: "27 November 2026, 14:05"."""
    return _formatted(value, "LONG_DATETIME_FORMAT")


def _formatted(value: date | datetime | None, name: str) -> str:
    """Return a date in a format of `xraysite.formats`, in English where a language has none."""
    if not value:  # a template hands over "" for a variable that is not defined
        return ""
    if isinstance(value, datetime) and timezone.is_aware(value):
        value = timezone.localtime(value)
    modules = [*get_format_modules(), *get_format_modules("en")]
    return date_format(value, next(getattr(m, name) for m in modules if hasattr(m, name)))
