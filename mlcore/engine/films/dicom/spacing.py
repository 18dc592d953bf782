"""The size of a DICOM film's pixels, and where it was measured (PS3.3, 10.7.1.3)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from mlcore.engine.films.dicom.tags import numbers
from mlcore.engine.films.plane import Origin, Spacing

_OTHERS: tuple[tuple[str, Origin], ...] = (
    ("ImagerPixelSpacing", "detector"),
    ("NominalScannedPixelSpacing", "scanner"),
)


def pixel_spacing(dataset: Dataset) -> Spacing | None:
    """Return the size of the pixels; None if it is not stated, or not usable.

    A PixelSpacing equal to the ImagerPixelSpacing has not been corrected for magnification.
    """
    own = _pair(dataset, "PixelSpacing")
    for keyword, origin in _OTHERS:
        other = _pair(dataset, keyword)
        if other is not None and own in (None, other):
            return Spacing(*other, origin)
    return Spacing(*own, "patient") if own is not None else None


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    values = numbers(dataset, keyword)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None
