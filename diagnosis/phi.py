"""Which of an author's own patients a text names; connected to the board by `xraysite.hooks`."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from django.db.models import Value
from django.db.models.functions import Length, StrIndex
from django.db.models.lookups import GreaterThan
from django.utils.translation import gettext as _

from diagnosis.models import Reading
from diagnosis.search import folded

if TYPE_CHECKING:
    from accounts.models import User

MAX_FINDINGS = 5
SHORTEST_NAME = 2  # one letter, one Chinese character: in every text
SHORTEST_NUMBER = 4


def check(author: "User", text: str) -> Iterator[str]:
    """Yields a sentence for each patient of the author's own readings whom `text` names.

    By name or number, without regard to case, width and spaces; of readings that the author
    deleted too. At most `MAX_FINDINGS`.
    """
    yield from islice(_findings(author, folded(text)), MAX_FINDINGS)


def _findings(author: "User", text: str) -> Iterator[str]:
    for key, name in _occurring(author, text, "patient_name", shortest=SHORTEST_NAME):
        if _stands_alone(key, text):
            yield _("“%(name)s” is the name of a patient in one of your readings.") % {"name": name}
    for _key, number in _occurring(author, text, "patient_number", shortest=SHORTEST_NUMBER):
        yield _("“%(number)s” is the number of a patient in one of your readings.") % {
            "number": number
        }


def _occurring(
    author: "User", text: str, field: str, *, shortest: int
) -> Iterator[tuple[str, str]]:
    """Yields key and value of each different `field` whose key is somewhere in the folded text."""
    key = f"{field}_key"
    rows = (
        Reading.objects.ever_made_by(author)
        .annotate(key_length=Length(key))
        .filter(
            GreaterThan(StrIndex(Value(text), key), 0),
            key_length__gte=shortest,
        )
        .order_by(key)
        .values_list(key, field)
    )
    seen: set[str] = set()
    for found, value in rows:
        if found not in seen:
            seen.add(found)
            yield found, value


def _stands_alone(key: str, text: str) -> bool:
    """Returns whether `key` is in `text` other than as a part of longer words.

    Chinese and Japanese have no borders between words: there, any place counts.
    """
    for match in re.finditer(re.escape(key), text):
        before = text[max(0, match.start() - 1) : match.start()]
        after = text[match.end() : match.end() + 1]
        if not (_joined(before, key[0]) or _joined(key[-1], after)):
            return True
    return False


def _joined(one: str, other: str) -> bool:
    """Returns whether two neighbours belong to one word of an alphabet."""
    return _is_letter(one) and _is_letter(other)


def _is_letter(character: str) -> bool:
    if not character.isalnum():
        return False
    return unicodedata.east_asian_width(character) not in ("W", "F")
