"""Detection of patient data in posts: known number formats, and checks of other apps."""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from xraysite.common.identity_numbers import numbers_in

if TYPE_CHECKING:
    from accounts.models import User

LABELLED = re.compile(
    r"(?i)(?:病歷號?碼?|病歷編號|身[分份]證號?碼?|健保卡號?碼?|(?<![a-z])(?:mrn|chart no|patient id"
    r"|patient number|medical record(?: number)?|nhi(?: card)? no))[\s.:：#＃號為是]*"
    r"([A-Z]{0,3}[-\s]?\d{4,14})"
)
# Takes an author and a text; yields a warning for each thing that may identify a patient.
TextCheck = Callable[["User", str], Iterable[str]]
_checks: list[TextCheck] = []


def warnings(author: "User", text: str) -> list[str]:
    """Return one warning per piece of possible patient data in `text`."""
    found = [
        _("“%(text)s” looks like a national identity number.") % {"text": number}
        for number in numbers_in(text)
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
