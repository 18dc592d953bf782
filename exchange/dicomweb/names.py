"""Patients' names as DICOM writes them: alphabetic, ideographic and phonetic (PS3.5, 6.2)."""

from __future__ import annotations

from diagnosis.models import Reading
from diagnosis.search import folded
from diagnosis.services.patients import is_same_name
from exchange.outgoing.objects.header import person_name

GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


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
    """Return a typed name by group, as the objects of results state it."""
    return groups_of(person_name(name))


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
