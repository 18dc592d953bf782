"""Comparing an answer with the keys of a query (PS3.4, section C.2.2.2)."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# Not keys, but how the query is written.
CONTEXT = {"SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel"}
RANGES = {"DA", "TM", "DT"}
# Compared together as one moment, by `queries`.
MOMENT = {"ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"}
# Empty in an order, these match no value; other empty elements are not known here at all.
KNOWN = {"PatientBirthDate", "PatientSex", "ReferringPhysicianName", "RequestingPhysician"}


def values_of(element: Any) -> list[str]:
    """Return the values of an element as text, without padding; none if it is empty."""
    value = element.value
    many = value if isinstance(value, MultiValue | list | tuple) else [value]
    texts = [str(one).strip(" \0") for one in many if one is not None]
    return [text for text in texts if text]


def unsupported(query: Dataset, answer: Dataset) -> Iterator[str]:
    """Yield the keys with a value that an answer has nothing to compare with."""
    for element in query:
        if element.keyword in CONTEXT:
            continue
        if element.VR == "SQ":
            for item in element.value or []:
                known = answer.get(element.tag)
                yield from unsupported(item, known.value[0] if known and known.value else Dataset())
        elif values_of(element) and not _is_known(element, answer):
            yield element.keyword or str(element.tag)


def _is_known(element: Any, answer: Dataset) -> bool:
    found = answer.get(element.tag)
    return found is not None and (bool(values_of(found)) or element.keyword in KNOWN)


def matches(query: Dataset, answer: Dataset) -> bool:
    """Return whether an answer has what the keys of a query ask for.

    An empty key matches everything, and so does one that no order states.
    """
    return all(
        _matches(element, answer)
        for element in query
        if element.keyword not in CONTEXT and element.keyword not in MOMENT
    )


def _matches(element: Any, answer: Dataset) -> bool:
    found = answer.get(element.tag)
    if element.VR == "SQ":
        items = element.value or []
        answers = found.value if found is not None else []
        return not items or not answers or any(matches(items[0], each) for each in answers)
    wanted = values_of(element)
    if not wanted or not _is_known(element, answer):
        return True
    stated = values_of(found)
    return any(_is_match(element.VR, one, other) for one in wanted for other in stated)


def _is_match(vr: str, wanted: str, stated: str) -> bool:
    if vr == "PN":
        return _is_name(wanted, stated)
    if vr in RANGES:
        return in_range(wanted, stated)
    if vr == "UI":
        return wanted == stated
    return _pattern(wanted).fullmatch(stated) is not None


def in_range(wanted: str, stated: str) -> bool:
    """Return whether a date or time is the wanted one, or within 20260101-20260131, A-, or -B.

    A time may be shorter than the one that it is compared with: 09 is the whole hour.
    """
    first, dash, last = (part.strip() for part in wanted.partition("-"))
    if not dash:
        return stated.startswith(first)
    is_late = not first or stated >= first
    return is_late and (not last or stated <= last or stated.startswith(last))


def _is_name(wanted: str, stated: str) -> bool:
    """Return whether a person's name matches, whatever its case, width and script.

    A key of one group is compared with every group of the name.
    """
    groups = [_folded(group) for group in stated.split("=")]
    keys = [_folded(group) for group in wanted.split("=")]
    if len(keys) == 1:
        return any(_pattern(keys[0]).fullmatch(group) for group in groups if group)
    groups += [""] * (len(keys) - len(groups))
    pairs = zip(keys, groups, strict=False)
    return all(_pattern(key).fullmatch(group) for key, group in pairs if key)


def _folded(group: str) -> str:
    return unicodedata.normalize("NFKC", group).casefold().strip().rstrip("^")


@lru_cache(256)
def _pattern(key: str) -> re.Pattern[str]:
    """Return a key with wildcards as an expression that takes no time for many of them."""
    first, *more = ("".join(_literal(letter) for letter in part) for part in key.split("*"))
    if not more:
        return re.compile(first, re.S)
    # The first place where a part fits is as good as any other, so none is tried again.
    middle = "".join(f"(?>.*?{part})" for part in more[:-1] if part)
    return re.compile(f"{first}{middle}.*{more[-1]}", re.S)


def _literal(letter: str) -> str:
    return "." if letter == "?" else re.escape(letter)
