"""Patients' names as DICOM writes them: alphabetic, ideographic and phonetic (PS3.5, 6.2)."""

from __future__ import annotations

import re
import unicodedata

from diagnosis.models import Reading
from diagnosis.search import folded
from diagnosis.services.patients import is_same_name

GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
# Of PersonName: `=` separates groups, `^` components, `\` values.
_DELIMITERS = re.compile(r"[=^\\]+")
_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")


def shown_name(reading: Reading, written: str) -> dict[str, str]:
    """Return the patient's name by group.

    The file's name, in all its groups, if the doctor's is the same in one of them; otherwise the
    doctor's alone.

    Args:
        reading: a reading.
        written: the name as its file writes it, "" if it states none.
    """
    in_file = groups_of(written)
    if not reading.header_disowned and any(
        is_same_name(text, reading.patient_name) for text in in_file.values()
    ):
        return in_file
    return typed_name(reading.patient_name)


def typed_name(name: str) -> dict[str, str]:
    """Return a typed name by group.

    A Chinese, Japanese or Korean name is ideographic; DICOM allows the alphabetic group to be
    empty then. No name is split into components: nobody can tell where.
    """
    plain = " ".join(_DELIMITERS.sub(" ", name).split())
    if not plain:
        return {}
    return {"Ideographic" if _is_ideographic(plain) else "Alphabetic": plain}


def groups_of(written: str) -> dict[str, str]:
    """Return the groups of a PersonName that are not empty."""
    parts = (text.strip().rstrip("^ ") for text in written.split("=")[:3])
    return {group: text for group, text in zip(GROUPS, parts, strict=False) if text}


def joined(groups: dict[str, str]) -> str:
    """Return the value of a PersonName element; the inverse of `groups_of`."""
    return "=".join(groups.get(group, "") for group in GROUPS).rstrip("=")


def name_key(groups: dict[str, str]) -> str:
    """Return what names are searched by: each group, with and without its separators."""
    texts: list[str] = []
    for text in groups.values():
        texts += [folded(text.replace("^", " ")), folded(text.replace("^", ""))]
    return "\n".join(dict.fromkeys(texts))


def _is_ideographic(name: str) -> bool:
    return any(unicodedata.name(letter, "").startswith(_SCRIPTS) for letter in name)


def pattern_of(query: str) -> str:
    """Return a regular expression for a name or other text with the wildcards `*` and `?`.

    Python, SQLite (which calls Python) and PostgreSQL read it alike. Lines are searched for, as
    `name_key` writes them.
    """
    wild = {"*": "[^\n]*", "?": "[^\n]", " ": " "}
    letters = folded(query.replace("^", " ").replace("=", " "))
    parts = (
        wild.get(letter) or (letter if letter.isalnum() else f"\\{letter}") for letter in letters
    )
    return "(^|\n)" + "".join(parts) + "($|\n)"
