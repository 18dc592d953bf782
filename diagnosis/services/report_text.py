"""The texts of a report as the PDF needs them: in one or two languages, printable characters only.

A font lacks some characters that names are written with. Such a character is printed as its code
point, "[U+2A6B2]", and the page says what that stands for: nothing is left out silently.
"""

import struct
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

FONTS = Path(__file__).resolve().parent.parent / "fonts"

# A text in one or two languages: (language, text). Text of no language, such as a name, has "".
Words = list[tuple[str, str]]


def merged(contents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the texts of a report in the languages of `contents` together.

    Args:
        contents: the report in each language, as dictionaries of the same shape.

    Returns:
        The same shape, with `Words` instead of each text. What is the same in all languages, such
        as a name, is there once.
    """
    languages = [str(content["language"]) for content in contents]
    return {key: _merged(languages, [each[key] for each in contents]) for key in contents[0]}


def _merged(languages: Sequence[str], values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, str):
        if len(values) > 1 and len(set(values)) == 1:
            return [("", first)]
        return [
            (language, text) for language, text in zip(languages, values, strict=True) if text
        ] or [("", "")]
    if isinstance(first, list):
        return [_merged(languages, each) for each in zip(*values, strict=True)]
    if isinstance(first, dict):
        return {key: _merged(languages, [each[key] for each in values]) for key in first}
    return first


def printable(value: Any) -> tuple[Any, bool]:
    """Replace what the fonts cannot print by its code point, in all texts of a structure.

    Returns:
        The structure, and whether anything was replaced.
    """
    if isinstance(value, str):
        text = "".join(_shown(character) for character in unicodedata.normalize("NFC", value))
        return text, text != unicodedata.normalize("NFC", value).replace("\r\n", "\n")
    if isinstance(value, dict):
        shown = {key: printable(each) for key, each in value.items()}
        return {key: each for key, (each, _) in shown.items()}, any(c for _, c in shown.values())
    if isinstance(value, list | tuple):
        parts = [printable(each) for each in value]
        return [each for each, _ in parts], any(changed for _, changed in parts)
    return value, False


def _shown(character: str) -> str:
    if character in "\n\r":
        return "" if character == "\r" else "\n"
    if character == "\t":
        return " "
    return character if ord(character) in characters() else f"[U+{ord(character):04X}]"


@cache
def characters() -> frozenset[int]:
    """Return the code points that the fonts of the report can print."""
    found: set[int] = set()
    for path in FONTS.glob("*/*-regular.*"):
        found |= _characters_of(path.read_bytes())
    # What sets the direction or the form of other characters prints nothing by itself.
    return frozenset(c for c in found if unicodedata.category(chr(c)) not in ("Cc", "Cf"))


def _characters_of(font: bytes) -> set[int]:
    """Read the code points of an OpenType font from its largest Unicode table.

    See the OpenType specification, "cmap", subtable formats 4 and 12.
    """
    tables = {
        font[at : at + 4]: struct.unpack(">II", font[at + 8 : at + 16])
        for at in range(12, 12 + 16 * struct.unpack(">H", font[4:6])[0], 16)
    }
    start, _length = tables[b"cmap"]
    count = struct.unpack(">H", font[start + 2 : start + 4])[0]
    found: set[int] = set()
    for index in range(count):
        at = start + 4 + 8 * index
        (offset,) = struct.unpack(">I", font[at + 4 : at + 8])
        found |= _characters_of_subtable(font, start + offset)
    return found


def _characters_of_subtable(font: bytes, at: int) -> set[int]:
    (kind,) = struct.unpack(">H", font[at : at + 2])
    if kind == 12:
        (groups,) = struct.unpack(">I", font[at + 12 : at + 16])
        runs = struct.iter_unpack(">III", font[at + 16 : at + 16 + 12 * groups])
        return {code for first, last, _glyph in runs for code in range(first, last + 1)}
    if kind == 4:
        (double,) = struct.unpack(">H", font[at + 6 : at + 8])
        ends = struct.unpack(f">{double // 2}H", font[at + 14 : at + 14 + double])
        begins = struct.unpack(f">{double // 2}H", font[at + 16 + double : at + 16 + 2 * double])
        spans = zip(begins, ends, strict=True)
        return {code for first, last in spans for code in range(first, last + 1) if code < 0xFFFF}
    return set()
