"""Check digits of Taiwan's identity numbers.

National ID: a letter, 1 or 2, eight digits. Resident certificate: since 2021 a letter, 8 or 9,
eight digits; before, two letters of which the second is A to D, eight digits. The letters stand for
two-digit codes; the weighted sum of the digits is a multiple of 10. Source: Ministry of the
Interior, Taiwan.
"""

import re

from diagnosis.search import number_key

_LIKE_IDENTITY = re.compile(r"[a-z](?:[1289]|[a-d])\d{8}")
# The letters in the order of their codes, from 10.
_LETTERS = "abcdefghjklmnpqrstuvxywzio"
_WEIGHTS = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)


def looks_like_identity_number(number: str) -> bool:
    """Return whether a patient number has the form of an identity number."""
    return bool(_LIKE_IDENTITY.fullmatch(number_key(number)))


def has_valid_check_digit(number: str) -> bool:
    """Return whether the last digit of an identity number fits the others.

    Args:
        number: a text that `looks_like_identity_number`.

    Example:
        >>> has_valid_check_digit("A123456789")
        True
    """
    key = number_key(number)
    code = 10 + _LETTERS.index(key[0])
    second = key[1] if key[1].isdigit() else str((10 + _LETTERS.index(key[1])) % 10)
    digits = [code // 10, code % 10, int(second), *map(int, key[2:])]
    total = sum(digit * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return total % 10 == 0


def is_doubtful(number: str) -> bool:
    """Return whether a patient number looks like an identity number with a wrong check digit."""
    return looks_like_identity_number(number) and not has_valid_check_digit(number)
