"""Names as DICOM has them: groups for three scripts, whose components are joined by "^".

Standard: PS3.5, section 6.2, value representation PN. A group has the components family name, given
name, middle name, prefix and suffix.
"""

import re
import unicodedata

MAX_GROUP = 64
MAX_COMPONENTS = 5
# What separates groups and values, and control characters.
FORBIDDEN = re.compile(r"[=\\\x00-\x1f\x7f]")
_IDEOGRAPH = r"\u2e80-\u2fff\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BETWEEN_IDEOGRAPHS = re.compile(rf"(?<=[{_IDEOGRAPH}])\s+(?=[{_IDEOGRAPH}])")


def as_group(text: str) -> str:
    """Return a typed name as a group.

    The first comma separates family and given name, and so does "^". Nothing else is taken for a
    separator: which part of a name is the family's cannot be known from the name.

    Example:
        >>> as_group("Chen, Wei-Lun")
        'Chen^Wei-Lun'
    """
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    if "^" not in plain:
        plain = re.sub(r"\s*[,,、]\s*", "^", plain, count=1)
    return "^".join(part.strip() for part in plain.split("^")).rstrip("^")


def shown(group: str) -> str:
    """Return a group for people: its components joined by spaces, not between ideographs."""
    return _BETWEEN_IDEOGRAPHS.sub("", " ".join(group.replace("^", " ").split()))


def person_name(latin: str, ideographic: str = "", phonetic: str = "") -> str:
    """Return the value of a PN element.

    Example:
        >>> person_name("Chen^Wei-Lun", "陳^威倫")
        'Chen^Wei-Lun=陳^威倫'
    """
    return "=".join((latin, ideographic, phonetic)).rstrip("=")


def is_ideographic(text: str) -> bool:
    """Return whether a name is written in Chinese characters, kana or hangul."""
    return any(unicodedata.east_asian_width(letter) in ("W", "F") for letter in text)
