"""Identity numbers of Taiwan and their check digits.

National ID: a letter, 1 or 2, eight digits (A123456789). Residents since 2021: a letter, 8 or 9,
eight digits (A800000014); before, two letters of which the second is A to D, eight digits
(AB12345677).
Letters stand for two-digit codes; the weighted sum of the digits is a multiple of 10. Source:
Ministry of the Interior, Taiwan.
"""

import re
import unicodedata

_NUMBER = r"([A-Za-z])([A-Da-d1289])(\d{8})"
_IN_TEXT = re.compile(rf"(?<![A-Za-z0-9]){_NUMBER}(?![A-Za-z0-9])")
_ALONE = re.compile(_NUMBER, re.ASCII)
_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # in the order of their codes, 10 to 35
_WEIGHTS = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)


def numbers_in(text: str) -> list[str]:
    """Return the identity numbers in a text whose check digit is right."""
    return [match[0] for match in _IN_TEXT.finditer(text) if _digits_check(match)]


def is_doubtful(number: str) -> bool:
    """Return whether a number has the form of an identity number, but a wrong check digit.

    Case, width and spaces are ignored.

    Example:
        >>> is_doubtful("A123456788")
        True
    """
    match = _ALONE.fullmatch("".join(unicodedata.normalize("NFKC", number).split()))
    return match is not None and not _digits_check(match)


def _digits_check(match: re.Match[str]) -> bool:
    first = 10 + _LETTERS.index(match[1].upper())
    second = match[2].upper()
    # Only the units digit of the second letter's code counts.
    code = int(second) if second.isdigit() else (10 + _LETTERS.index(second)) % 10
    digits = [first // 10, first % 10, code, *map(int, match[3])]
    return sum(digit * weight for digit, weight in zip(digits, _WEIGHTS, strict=True)) % 10 == 0
