"""Conversion of detector values to 8-bit grey.

For values of more than 8 bits without a window: if the film uses at least half of the range that
the file can store, that range is mapped to 0..255, so that a 16-bit copy of an 8-bit film yields
the same pixels. Otherwise (12-bit values in a 16-bit file, a thin exposure) the film's own range
between the 0.1th and 99.9th percentile is mapped, and the few values outside are clipped. 8-bit
films are never stretched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.uint8]

# An image with a smaller standard deviation (in levels of 255) is blank.
BLANK_DEVIATION = 1.5
_TAIL_PERCENT = 0.1
_SAMPLE = 250_000


def thinned(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an evenly spaced sample of about 250,000 values, as a flat array."""
    return _sample(plane).ravel()


def _sample(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    step = max(1, int((plane.size / _SAMPLE) ** 0.5))
    return plane[::step, ::step]


def is_blank(grey: Grey) -> bool:
    """Return whether a film shows a single grey level."""
    # From the histogram: a mean of squares of every pixel takes four times as long.
    counts = np.array(Image.fromarray(np.ascontiguousarray(_sample(grey))).histogram(), np.int64)
    levels = np.arange(256)
    total, mean = counts.sum(), (counts @ levels) / counts.sum()
    return float(np.sqrt(counts @ (levels - mean) ** 2 / total)) < BLANK_DEVIATION


def used_range(sample: npt.NDArray[Any], lowest: float, highest: float) -> tuple[float, float]:
    """Return the values to map to 0 and 255.

    Args:
        sample: values of the film, flat, not empty.
        lowest: the smallest value that the file can store.
        highest: the largest value that the file can store.
    """
    low, high = np.percentile(sample, (_TAIL_PERCENT, 100 - _TAIL_PERCENT))
    if high - low >= (highest - lowest) / 2:
        return lowest, highest
    return float(low), float(high)


def spread(levels: npt.NDArray[Any], low: float, high: float) -> Grey:
    """Map low..high linearly to 0..255 with clipping; a constant film becomes 0."""
    scaled = levels.astype(np.float32)
    scaled -= low
    scaled *= 255 / (high - low) if high > low else 0
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def looked_up(table: npt.NDArray[Any], plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return table[plane], in blocks of rows: NumPy converts indices to 64 bits."""
    grey = np.empty(plane.shape, table.dtype)
    for rows in _row_blocks(plane):
        grey[rows] = table[plane[rows]]
    return grey


def from_uint16(plane: npt.NDArray[np.uint16]) -> Grey:
    """Convert a 16-bit film with a look-up table, without a float copy of the film."""
    low, high = used_range(thinned(plane), 0, 65535)
    return looked_up(spread(np.arange(65536), low, high), plane)


def from_wide(plane: npt.NDArray[Any]) -> Grey:
    """Convert a film of 32-bit integers or floats, which have no nominal range.

    Integers that fit into 16 bits are treated as 16-bit values.

    Raises:
        ValueError: a value is not finite.
    """
    sample = thinned(plane)
    low, high = float(plane.min()), float(plane.max())
    if not np.isfinite(low + high):
        raise ValueError("Values must be finite.")
    if plane.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return from_uint16(plane.astype(np.uint16))
    low, high = used_range(sample, low, high)
    grey = np.empty(plane.shape, np.uint8)
    for rows in _row_blocks(plane):
        grey[rows] = spread(plane[rows], low, high)
    return grey


def _row_blocks(plane: npt.NDArray[Any]) -> Iterator[slice]:
    """Return slices of rows with about 250,000 values each."""
    step = max(1, _SAMPLE // max(1, plane.shape[1]))
    return (slice(start, start + step) for start in range(0, plane.shape[0], step))


def luma(colours: npt.NDArray[np.uint8]) -> Grey:
    """Return the Rec. 601 luma of RGB pixels (height, width, 3)."""
    return np.asarray(Image.fromarray(colours).convert("L"))
