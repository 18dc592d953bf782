"""From a detector's levels to the 8-bit grey that screens and the model take.

The rule for levels deeper than 8 bits that come without a window: if the film's own levels
take up at least half of the range that the file could have stored, that range is mapped to
0..255, so that a 16-bit copy of an 8-bit film gives the same pixels back. Otherwise (12-bit
levels in a 16-bit file, a thin exposure) the film's own range, between its 0.1th and 99.9th
percentile, is mapped and the few levels outside are clipped. 8-bit films are never stretched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.uint8]

# Below this standard deviation, in levels of 255, a picture shows nothing.
BLANK_DEVIATION = 1.5
_TAIL_PERCENT = 0.1
_SAMPLE = 250_000


def thinned(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """About a quarter million of a plane's values, evenly spread, as a flat array."""
    step = max(1, int((plane.size / _SAMPLE) ** 0.5))
    return plane[::step, ::step].ravel()


def is_blank(grey: Grey) -> bool:
    """Whether a film shows one even grey."""
    return float(thinned(grey).std()) < BLANK_DEVIATION


def used_range(sample: npt.NDArray[Any], lowest: float, highest: float) -> tuple[float, float]:
    """The levels to map to 0 and 255.

    Args:
        sample: levels of the film, flat, not empty.
        lowest: the least level that the file could have stored.
        highest: the greatest one.
    """
    low, high = np.percentile(sample, (_TAIL_PERCENT, 100 - _TAIL_PERCENT))
    if high - low >= (highest - lowest) / 2:
        return lowest, highest
    return float(low), float(high)


def spread(levels: npt.NDArray[Any], low: float, high: float) -> Grey:
    """Map low..high linearly to 0..255, clipping outside; one value everywhere gives 0."""
    scaled = levels.astype(np.float32)
    scaled -= low
    scaled *= 255 / (high - low) if high > low else 0
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def looked_up(table: Grey, plane: npt.NDArray[Any]) -> Grey:
    """table[plane], some rows at a time: NumPy makes 64-bit indices of what it is given."""
    grey = np.empty(plane.shape, np.uint8)
    for rows in _row_blocks(plane):
        grey[rows] = table[plane[rows]]
    return grey


def from_uint16(plane: npt.NDArray[np.uint16]) -> Grey:
    """8-bit grey of a 16-bit film, through a table: no float copy of the film is made."""
    low, high = used_range(thinned(plane), 0, 65535)
    return looked_up(spread(np.arange(65536), low, high), plane)


def from_wide(plane: npt.NDArray[Any]) -> Grey:
    """8-bit grey of a film of 32-bit integers or floats, which state no range of their own.

    Integers that fit into 16 bits are taken for such.

    Raises:
        ValueError: a level is not finite.
    """
    sample = thinned(plane)
    low, high = float(plane.min()), float(plane.max())
    if not np.isfinite(low + high):
        raise ValueError("levels must be finite")
    if plane.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return from_uint16(plane.astype(np.uint16))
    low, high = used_range(sample, low, high)
    grey = np.empty(plane.shape, np.uint8)
    for rows in _row_blocks(plane):
        grey[rows] = spread(plane[rows], low, high)
    return grey


def _row_blocks(plane: npt.NDArray[Any]) -> Iterator[slice]:
    """Slices of rows of about a quarter million values each."""
    step = max(1, _SAMPLE // max(1, plane.shape[1]))
    return (slice(start, start + step) for start in range(0, plane.shape[0], step))


def luma(colours: npt.NDArray[np.uint8]) -> Grey:
    """Rec. 601 luma of RGB (height, width, 3)."""
    return np.asarray(Image.fromarray(colours).convert("L"))
