"""Detection of patient data in posts: known number formats, and checks of other apps."""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from accounts.models import User

# Taiwan: citizens (A123456789), residents since 2021 (A800000014) and before (AB12345677).
ID_NUMBER = re.compile(r"(?<![A-Za-z0-9])([A-Za-z])([A-Da-d1289])(\d{8})(?![A-Za-z0-9])")
LABELLED = re.compile(
    r"(?i)(?:病歷號?碼?|病歷編號|身[分份]證號?碼?|健保卡號?碼?|(?<![a-z])(?:mrn|chart no|patient id"
    r"|patient number|medical record(?: number)?|nhi(?: card)? no))[\s.:：#＃號為是]*"
    r"([A-Z]{0,3}[-\s]?\d{4,14})"
)
# Takes an author and a text; yields a warning for each thing that may identify a patient.
TextCheck = Callable[["User", str], Iterable[str]]
_checks: list[TextCheck] = []
LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # in the order of their values, 10 to 35


def id_numbers(text: str) -> list[str]:
    """Return the Taiwanese identity numbers in a text, verified by check digit."""
    return [match[0] for match in ID_NUMBER.finditer(text) if _digits_check(match)]


def _digits_check(match: re.Match[str]) -> bool:
    first = 10 + LETTERS.index(match[1].upper())
    second = match[2].upper()
    # Only the units digit of the second letter's value counts.
    code = int(second) if second.isdigit() else (10 + LETTERS.index(second)) % 10
    digits = [first // 10, first % 10, code, *map(int, match[3])]
    weights = [1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1]
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=True)) % 10 == 0


def warnings(author: "User", text: str) -> list[str]:
    """Return one warning per piece of possible patient data in `text`."""
    found = [
        _("“%(text)s” looks like a national identity number.") % {"text": number}
        for number in id_numbers(text)
    ]
    found += [
        _("“%(text)s” looks like a patient number.") % {"text": match[0].strip()}
        for match in LABELLED.finditer(text)
    ]
    for check in _checks:
        found.extend(check(author, text))
    return list(dict.fromkeys(found))


def add_check(check: TextCheck) -> None:
    """Have `warnings` run `check` as well; adding it again changes nothing."""
    if check not in _checks:
        _checks.append(check)


def seal(text: str) -> str:
    """Return the hash that binds a confirmation to exactly this text."""
    return hashlib.sha256(text.encode()).hexdigest()
