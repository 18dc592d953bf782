"""Find an author's own patients in a text; `xraysite.hooks` connects it to the board."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from django.db.models import QuerySet, Value
from django.db.models.functions import Length, StrIndex
from django.db.models.lookups import GreaterThan
from django.utils.translation import gettext as _

from diagnosis.models import Reading
from diagnosis.search import folded

if TYPE_CHECKING:
    from accounts.models import User

MAX_FINDINGS = 5
MIN_NAME_LENGTH = 2  # a single letter or Chinese character occurs in almost every text
MIN_NUMBER_LENGTH = 4


def check(author: "User", text: str) -> Iterator[str]:
    """Yield a warning for each patient of the author's readings whom `text` names.

    Args:
        author: a doctor. Readings that the author deleted, and those of teams, count too.
        text: any text; names and numbers are compared regardless of case, width and spacing.

    Yields:
        At most `MAX_FINDINGS` sentences in the active language.
    """
    # PostgreSQL stores no NUL characters, so no name contains one.
    yield from islice(_findings(author, folded(text.replace("\0", " "))), MAX_FINDINGS)


def _findings(author: "User", text: str) -> Iterator[str]:
    readings = Reading.objects.known_to(author)
    for key, name in _occurring(readings, text, "patient_name", min_length=MIN_NAME_LENGTH):
        if _is_whole_word(key, text):
            yield _("“%(name)s” is the name of a patient in one of your readings.") % {"name": name}
    for _key, number in _occurring(readings, text, "patient_number", min_length=MIN_NUMBER_LENGTH):
        yield _("“%(number)s” is the number of a patient in one of your readings.") % {
            "number": number
        }


def _occurring(
    readings: QuerySet[Reading], text: str, field: str, *, min_length: int
) -> Iterator[tuple[str, str]]:
    """Yield key and value of each distinct `field` whose key occurs in the folded text."""
    key = f"{field}_key"
    rows = (
        readings.annotate(key_length=Length(key))
        .filter(
            GreaterThan(StrIndex(Value(text), key), 0),
            key_length__gte=min_length,
        )
        .order_by(key)
        .values_list(key, field)
    )
    seen: set[str] = set()
    for found, value in rows:
        if found not in seen:
            seen.add(found)
            yield found, value


def _is_whole_word(key: str, text: str) -> bool:
    """Return whether `key` occurs in `text` other than inside a longer word.

    Chinese and Japanese do not separate words, so any occurrence counts there.
    """
    for match in re.finditer(re.escape(key), text):
        before = text[max(0, match.start() - 1) : match.start()]
        after = text[match.end() : match.end() + 1]
        if not (_is_one_word(before, key[0]) or _is_one_word(key[-1], after)):
            return True
    return False


def _is_one_word(left: str, right: str) -> bool:
    """Return whether two adjacent characters belong to the same word of an alphabet."""
    return _is_letter(left) and _is_letter(right)


def _is_letter(character: str) -> bool:
    if not character.isalnum():
        return False
    return unicodedata.east_asian_width(character) not in ("W", "F")
