"""Dates as they are typed and shown, in years AD or in years of the Republic of China (ROC).

ROC year 1 is 1912. A user's choice of years holds for one request (`roc_years`).
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime

from django.utils import timezone
from django.utils.formats import date_format, get_format_modules
from django.utils.translation import get_language

ROC_OFFSET = 1911
SHORT, SHORT_TIME = "SHORT_DATE_FORMAT", "SHORT_DATETIME_FORMAT"

_shows_roc: ContextVar[bool] = ContextVar("shows_roc", default=False)
# 115/1/2, 115.1.2, 115-1-2, 民國115年1月2日, 2026/1/2; and 1150102, 20260102.
_PARTS = re.compile(
    r"(?P<roc>民國|民国|roc)?\s*(?P<year>\d{1,4})\s*(?:年|[/.-])\s*(?P<month>\d{1,2})\s*(?:月|[/.-])"
    r"\s*(?P<day>\d{1,2})\s*日?",
    re.IGNORECASE,
)
_DIGITS = re.compile(
    r"(?P<roc>民國|民国|roc)?\s*(?P<year>\d{2,4})(?P<month>\d\d)(?P<day>\d\d)", re.I
)
MAX_ROC_DIGITS = 3


@contextmanager
def roc_years(is_chosen: bool) -> Iterator[None]:
    """Show years of the Republic inside the block, if they are chosen."""
    token = _shows_roc.set(is_chosen)
    try:
        yield
    finally:
        _shows_roc.reset(token)


def parsed_date(text: str) -> date | None:
    """Return the date that a text states, None if it states none.

    A year of at most three digits counts from 1912, one of four digits from the birth of Christ.
    Full-width digits are read too.

    Example:
        >>> parsed_date("民國115年1月2日")
        datetime.date(2026, 1, 2)
    """
    folded = unicodedata.normalize("NFKC", text).strip()
    match = _PARTS.fullmatch(folded) or _DIGITS.fullmatch(folded)
    if match is None:
        return None
    year = int(match["year"])
    if match["roc"] or len(match["year"]) <= MAX_ROC_DIGITS:
        year += ROC_OFFSET
    try:
        return date(year, int(match["month"]), int(match["day"]))
    except ValueError:
        return None


def short_date(value: date | datetime | None) -> str:
    """Return a date for tables: "2026-11-27", or "115/11/27" in years of the Republic."""
    return shown(value, SHORT) if value else ""


def short_datetime(value: datetime | None) -> str:
    """Return a date and time for tables, in the active time zone."""
    if not value:
        return ""
    return shown(timezone.localtime(value) if timezone.is_aware(value) else value, SHORT_TIME)


def shown(value: date | datetime, name: str) -> str:
    """Return a date in one of the formats of tables; `name` is SHORT or SHORT_TIME."""
    year = value.year - ROC_OFFSET
    if not _shows_roc.get() or year < 1:
        return date_format(value, name)
    day = f"{year}/{value.month:02}/{value.day:02}"
    return f"{day} {value:%H:%M}" if name == SHORT_TIME else day


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
    text = date_format(value, next(getattr(m, name) for m in modules if hasattr(m, name)))
    return _in_roc_years(text, value.year) if _shows_roc.get() else text


def _in_roc_years(text: str, year: int) -> str:
    """Return a date in a sentence with the year of the Republic: "民國 115 年 11 月 27 日"."""
    if year <= ROC_OFFSET:
        return text
    is_chinese = (get_language() or "").startswith("zh")
    shown_year = f"民國 {year - ROC_OFFSET}" if is_chinese else f"ROC {year - ROC_OFFSET}"
    return text.replace(str(year), shown_year, 1)
