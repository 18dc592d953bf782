"""Character sets of DICOM text (PS3.3 C.12.1.1.2, PS3.5 6.1.2.5 and annexes H to K).

Hospitals write the labels of character sets in many ways, and often the wrong label. Text is
decoded here from its bytes; nothing is replaced or guessed: what cannot be decoded raises.
"""

from __future__ import annotations

import re

# By the number of the ISO registry entry; values are Python's names.
_SINGLE_BYTE = {
    "6": "ascii",
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "166": "iso8859_11",
    "13": "shift_jis",  # JIS X 0201 is its single-byte part
}
_DOUBLE_BYTE = {"149": "euc_kr", "58": "gb2312", "87": "euc_jp", "159": "euc_jp"}
_WHOLE = {"192": "utf_8", "UTF8": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
# Escape sequences: which half of the byte range they change, and to which code.
_ESCAPES: dict[bytes, tuple[str, str]] = {
    b"\x1b(B": ("low", "ascii"),
    b"\x1b(J": ("low", "ascii"),  # JIS X 0201 romaji: yen sign and overline aside, ASCII
    b"\x1b)I": ("high", "shift_jis"),
    b"\x1b-A": ("high", "iso8859_1"),
    b"\x1b-B": ("high", "iso8859_2"),
    b"\x1b-C": ("high", "iso8859_3"),
    b"\x1b-D": ("high", "iso8859_4"),
    b"\x1b-L": ("high", "iso8859_5"),
    b"\x1b-G": ("high", "iso8859_6"),
    b"\x1b-F": ("high", "iso8859_7"),
    b"\x1b-H": ("high", "iso8859_8"),
    b"\x1b-M": ("high", "iso8859_9"),
    b"\x1b-b": ("high", "iso8859_15"),
    b"\x1b-T": ("high", "iso8859_11"),
    b"\x1b$)C": ("high", "euc_kr"),
    b"\x1b$)A": ("high", "gb2312"),
    b"\x1b$B": ("low", "jis_x_0208"),
    b"\x1b$@": ("low", "jis_x_0208"),
    b"\x1b$(D": ("low", "jis_x_0212"),
}
_ESCAPE_LENGTHS = (3, 4)
_PAIRED_HIGH = frozenset({"euc_kr", "gb2312"})
_LABEL = re.compile(r"(?:ISO[ _-]*)?(?:2022[ _-]*)?(?:IR[ _-]*)?(\d{1,3})")


class UndecodableError(ValueError):
    """Raised when text does not agree with its character set."""


def registry_entry(label: str) -> str:
    """Return what a label means: an ISO registry number, UTF8, GB18030 or GBK; empty if nothing.

    `ISO_IR 149`, `ISO 2022 IR 149` and `ISO-IR-149` mean the same.
    """
    plain = label.strip().upper()
    match = _LABEL.fullmatch(plain)
    return match[1].lstrip("0") if match else re.sub(r"[ _-]", "", plain)


def decode(raw: bytes, labels: list[str]) -> str:
    """Decode text by the values of Specific Character Set.

    Args:
        raw: the bytes of an element.
        labels: all values; an empty one stands for ASCII.

    Raises:
        UndecodableError: a byte has no meaning, or a label is unknown.
    """
    entries = [registry_entry(label) for label in labels] or [""]
    if b"\x1b" in raw:
        return _decode_escaped(raw, _high_code(entries[0]))
    for entry in entries:
        if entry in _WHOLE:
            return _decoded(raw, _WHOLE[entry])
    # Many devices leave out the escape sequence of their only two-byte set.
    paired = [_DOUBLE_BYTE[entry] for entry in entries if entry in _DOUBLE_BYTE]
    first = _SINGLE_BYTE.get(entries[0] or "6")
    if first in (None, "ascii") and len(set(paired)) == 1:
        return _decoded(raw, paired[0])
    if first is None and not raw.isascii():
        raise UndecodableError(f"Unknown character set: {labels[0]!r}.")
    return _decoded(raw, first or "ascii")


def _high_code(entry: str) -> str | None:
    """Return the code of bytes from 0x80 on before any escape sequence."""
    return _SINGLE_BYTE.get(entry) or _DOUBLE_BYTE.get(entry)


def _decoded(raw: bytes, codec: str) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        raise UndecodableError(str(error)) from error


def _decode_escaped(raw: bytes, initial: str | None) -> str:
    """Decode text with escape sequences, whose effect ends at each delimiter and line end."""
    low, high, pieces, at = "ascii", initial, [], 0
    while at < len(raw):
        byte = raw[at]
        if byte == 0x1B:
            half, code, length = _escape(raw, at)
            low, high = (code, high) if half == "low" else (low, code)
            at += length
        elif byte >= 0x80:
            size = 2 if high in _PAIRED_HIGH or high == "euc_jp" else 1
            if high is None:
                raise UndecodableError(f"Byte {byte:#x} has no meaning in ASCII.")
            pieces.append(_decoded(raw[at : at + size], high))
            at += size
        elif low.startswith("jis") and byte > 0x20:
            pieces.append(_japanese(raw[at : at + 2], low))
            at += 2
        else:
            if byte in b"^=\\\r\n\t\f":
                low, high = "ascii", initial
            pieces.append(chr(byte))
            at += 1
    return "".join(pieces)


def _escape(raw: bytes, at: int) -> tuple[str, str, int]:
    for length in _ESCAPE_LENGTHS:
        found = _ESCAPES.get(raw[at : at + length])
        if found:
            return *found, length
    raise UndecodableError(f"Unknown escape sequence: {raw[at : at + 4]!r}.")


def _japanese(pair: bytes, code: str) -> str:
    if len(pair) < 2:
        raise UndecodableError("A two-byte character is cut.")
    prefix = b"\x8f" if code == "jis_x_0212" else b""
    return _decoded(prefix + bytes(byte | 0x80 for byte in pair), "euc_jp")
