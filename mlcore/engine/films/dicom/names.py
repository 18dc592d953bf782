"""Patients' names and numbers, decoded only where there is no doubt what they say."""

from __future__ import annotations

import re
import unicodedata

from pydicom.dataset import Dataset

from mlcore.engine.films.dicom.charsets import UndecodableError, decode, registry_entry
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, tidy

# Labels that devices write whatever the text is in, because they are the default.
_DEFAULT_LABELS = frozenset({"", "6", "100"})
# Legacy encodings that share most of their bytes with Big5.
_RIVALS = ("gbk", "cp949")
# The lead bytes of the 5,401 frequently used characters of Big5.
_FREQUENT_BIG5 = range(0xA4, 0xC7)
_HALF_WIDTH_KANA = re.compile(rb"[\xa6-\xdf\s^=]+")
# Besides letters: middle dots within names, the ideographic zero and space, typographic marks.
_NAME_SIGNS = frozenset("·‧・〇\u3000’‘´–")
# The letters of one script that UTF-8 writes in two bytes: Greek, Cyrillic, Hebrew, Arabic.
_TWO_BYTE_SCRIPTS = re.compile(r"[Ͱ-Ͽ]{3,}|[Ѐ-ӿ]{3,}|[א-ת]{3,}|[ء-ي]{3,}")
_CAPITAL_INSIDE = re.compile(r"[^\W\d_A-Z](?<=[a-zß-öø-ÿ])[À-ÖØ-Þ]")


def charset_labels(dataset: Dataset) -> list[str]:
    """Return all values of Specific Character Set, empty ones included."""
    try:
        values = dataset.get("SpecificCharacterSet")
    except PYDICOM_ERRORS:
        return []
    if values is None:
        return []
    return [values] if isinstance(values, str) else [str(value) for value in values]


def patient_names(dataset: Dataset) -> list[str]:
    """Return the name in each script that is given: ideographic, alphabetic, phonetic.

    Raises:
        UndecodableError: a component cannot be decoded, or could mean different names.
    """
    written = text_of(dataset, "PatientName")
    alphabetic, ideographic, phonetic = (written + "==").split("=")[:3]
    found = []
    for group in (ideographic, alphabetic, phonetic):
        components = [part for part in (tidy(c) for c in group.split("^")) if part]
        if components:
            unspaced = all(_is_han_or_kana(part) for part in components)
            found.append(("" if unspaced else " ").join(components))
    return found


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return an element's text, decoded from its bytes; empty if it is missing.

    Raises:
        UndecodableError: the text cannot be decoded, or could mean different things.
    """
    try:
        raw = getattr(dataset.get_item(keyword), "value", None)
    except PYDICOM_ERRORS as error:
        raise UndecodableError(f"{keyword} cannot be read.") from error
    if not isinstance(raw, bytes):
        return str(raw or "")
    labels = charset_labels(dataset)
    entry = registry_entry(labels[0]) if labels else ""
    if raw.isascii() and b"\x1b" not in raw:
        decoded = raw.decode("ascii")
    elif b"\x1b" not in raw and len(labels) < 2 and entry in _DEFAULT_LABELS:
        decoded = _in_doubt(raw, is_latin=entry == "100")
    else:
        decoded = decode(raw, labels)
    if any(unicodedata.category(c) in ("Cn", "Co", "Cs") or "\x7f" <= c < "\xa0" for c in decoded):
        raise UndecodableError(f"{keyword} contains control or unassigned characters.")
    return decoded


def _in_doubt(raw: bytes, *, is_latin: bool) -> str:
    """Decode text under a default label: UTF-8, then what the label says, then Big5."""
    try:
        decoded = raw.decode("utf-8")
        if _is_surely_utf8(decoded):
            return decoded
    except UnicodeDecodeError:
        pass
    if is_latin:
        decoded = raw.decode("iso8859_1")
        if _looks_latin(decoded):
            return decoded
    return _unambiguous_big5(raw)


def _is_surely_utf8(text: str) -> bool:
    """Return whether no legacy encoding of a name is likely to decode to this text as UTF-8.

    Two characters of GBK or EUC-KR may decode to two odd letters, but hardly to three of one
    script, or to a character of three bytes.
    """
    if not _consists_of_letters(text):
        return False
    wide = any(char >= "\u0800" for char in text)
    return wide or _looks_latin(text) or bool(_TWO_BYTE_SCRIPTS.search(text))


def _looks_latin(text: str) -> bool:
    """Return whether text is plausible in a Latin script: accented letters among plain ones."""
    if not _consists_of_letters(text) or _CAPITAL_INSIDE.search(text) or set(text) & set("ªº"):
        return False
    components = [part for part in re.split(r"[\^=\s]", text) if not part.isascii()]
    return all(re.search("[A-Za-z]", part) for part in components)


def _unambiguous_big5(raw: bytes) -> str:
    """Decode Big5, unless the same bytes make a name in an encoding of other countries."""
    try:
        decoded = raw.decode("big5")
    except UnicodeDecodeError as error:
        raise UndecodableError("The character set is missing or wrong.") from error
    leads = [char.encode("big5")[0] for char in decoded if not char.isascii()]
    frequent = all(lead in _FREQUENT_BIG5 for lead in leads)
    mixed = any(
        not part.isascii() and re.search("[A-Za-z]", part) for part in re.split(r"[\^=\s]", decoded)
    )
    rivals = any(_is_cjk_name(raw, codec) for codec in _RIVALS)
    if not frequent or mixed or rivals or _HALF_WIDTH_KANA.fullmatch(raw):
        raise UndecodableError("The character set is missing, and the text is ambiguous.")
    return decoded


def _is_cjk_name(raw: bytes, codec: str) -> bool:
    try:
        decoded = raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return all(
        char.isascii() or unicodedata.name(char, "").startswith(("CJK UNIFIED", "HANGUL SYLL"))
        for char in decoded
    )


def _consists_of_letters(text: str) -> bool:
    return all(
        char.isascii() or char in _NAME_SIGNS or unicodedata.category(char)[0] in "LM"
        for char in text
    )


def _is_han_or_kana(part: str) -> bool:
    return all(unicodedata.name(c, "").startswith(("CJK", "HIRAGANA", "KATAKANA")) for c in part)
