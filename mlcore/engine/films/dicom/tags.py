"""Values of DICOM elements, read so that no malformed value can raise."""

from __future__ import annotations

import math
import struct
import unicodedata
import zlib
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

# pydicom converts values on access and may raise any of these, including warnings in processes
# that turn warnings into errors.
PYDICOM_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    UserWarning,
    ValueError,
    struct.error,
    zlib.error,
)
_LONGEST = 200


def text(dataset: Dataset, keyword: str) -> str | None:
    """Return an element's first value as text; None if missing, empty or undecodable."""
    value = first(dataset, keyword)
    return None if value is None else tidy(str(value))


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return an element's first value as an integer, or None."""
    value = number(dataset, keyword)
    return int(value) if value is not None and value == int(value) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return an element's first value as a finite number, or None."""
    try:
        value = float(first(dataset, keyword))
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return all values of an element as finite numbers; an empty list if one is not."""
    try:
        value = dataset.get(keyword)
        several = isinstance(value, MultiValue | list)
        found = [float(part) for part in (value if several else [value])]
    except (*PYDICOM_ERRORS, TypeError, ValueError, OverflowError):
        return []
    return found if all(math.isfinite(number) for number in found) else []


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """Return all values of an element as text, "" for those that are undecodable."""
    try:
        value = dataset.get(keyword)
    except PYDICOM_ERRORS:
        return []
    several = value if isinstance(value, MultiValue | list) else [value]
    return ["" if each is None else tidy(str(each)) or "" for each in several]


def first(dataset: Dataset, keyword: str) -> Any:
    try:
        value = dataset.get(keyword)
        if isinstance(value, MultiValue | list):
            return value[0] if value else None
    except PYDICOM_ERRORS:
        return None
    return value


def tidy(value: str) -> str | None:
    """Remove control characters, repeated spaces and excess length."""
    if "\ufffd" in value:
        return None
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in value)
    return " ".join(kept.split())[:_LONGEST] or None
