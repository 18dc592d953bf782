"""A film at the depth that its file stores, for windowing on a screen.

`Plane.values` holds what the file stores, turned so that higher is whiter. The 8-bit film that
the model reads and that pages show first is `Plane.shown`, equal to `Film.pixels`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlcore.engine.films import grey

Values = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Origin = Literal["patient", "detector", "scanner"]

_TOP = 65535


@dataclass(frozen=True, eq=False)
class Tone:
    """A way to show the values of a film.

    Attributes:
        low, high: the values that are shown black and white.
        name: the file's own name for it, "" if it has none.
        table: uint8 (levels,), the grey level of each value, where it is not just linear between
            `low` and `high`.
    """

    low: float
    high: float
    name: str = ""
    table: npt.NDArray[np.uint8] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Spacing:
    """The distance between the centres of neighbouring pixels, in millimetres.

    Attributes:
        row: between rows, that is, vertically.
        column: between columns, that is, horizontally.
        origin: where the distance was measured. "patient": calibrated for the patient (PixelSpacing
            that differs from ImagerPixelSpacing, or without one). "detector": on the detector, on
            which the patient appears enlarged. "scanner": on the scanned film.
    """

    row: float
    column: float
    origin: Origin


@dataclass(frozen=True, eq=False)
class Plane:
    """A film at the depth that its file stores.

    Attributes:
        values: uint8 or uint16 (height, width), upright, higher is whiter.
        bits: bits per sample in the file.
        levels: number of values that are possible, from 0; the length of each table.
        tones: ways to show the film; the first is how `Film.pixels` shows it.
        slope, intercept: modality units are `slope * value + intercept`; the windows of DICOM
            files are in modality units. The slope is negative where low units are white.
        padding: the first and the last value of pixels outside the image, which stay black.
        spacing: size of the pixels, if the file states it.
        is_exact: False if the file's values need more than 16 bits and were rounded.
    """

    values: Values = field(repr=False)
    bits: int
    levels: int
    tones: tuple[Tone, ...]
    slope: float = 1.0
    intercept: float = 0.0
    padding: tuple[int, int] | None = None
    spacing: Spacing | None = None
    is_exact: bool = True

    @property
    def shown(self) -> npt.NDArray[np.uint8]:
        """The film in 8 bits, as `read_film` returns it."""
        table = self.tones[0].table
        return self.values.astype(np.uint8) if table is None else grey.looked_up(table, self.values)


def of_bytes(values: npt.NDArray[np.uint8], *, bits: int = 8) -> Plane:
    """Return the plane of a film that has 8 bits or fewer, which is shown as it is."""
    return Plane(values, bits, 256, (Tone(0, 255),))


def of_uint16(values: npt.NDArray[np.uint16], *, bits: int, is_inverted: bool) -> Plane:
    """Return the plane of a film of 16-bit values without a window, see `grey.from_uint16`."""
    low, high = grey.used_range(grey.thinned(values), 0, _TOP)
    table = grey.spread(np.arange(_TOP + 1), low, high)
    if is_inverted:
        values, table = _TOP - values, ~table[::-1]
        low, high = _TOP - high, _TOP - low
    tone = Tone(low, high, table=np.ascontiguousarray(table))
    slope, intercept = (-1.0, float(_TOP)) if is_inverted else (1.0, 0.0)
    return Plane(values, bits, _TOP + 1, (tone,), slope, intercept)


def of_wide(values: npt.NDArray[Any], *, bits: int, is_inverted: bool) -> Plane:
    """Return the plane of a film of 32-bit integers or floats, see `grey.from_wide`.

    Values that do not fit into 16 bits are rounded to 65,536 steps of the film's range.

    Raises:
        ValueError: a value is not finite.
    """
    lowest, highest = float(values.min()), float(values.max())
    if not np.isfinite(lowest + highest):
        raise ValueError("Values must be finite.")
    if values.dtype.kind in "iu" and lowest >= 0 and highest <= _TOP:
        return of_uint16(values.astype(np.uint16), bits=bits, is_inverted=is_inverted)
    low, high = grey.used_range(grey.thinned(values), lowest, highest)
    step = (highest - lowest) / _TOP or 1.0
    rounded = values.astype(np.float64)
    rounded -= lowest
    rounded /= step
    steps = np.rint(rounded).astype(np.uint16)
    ends = (low - lowest) / step, (high - lowest) / step
    slope, intercept = step, lowest
    if is_inverted:
        steps, ends = _TOP - steps, (_TOP - ends[1], _TOP - ends[0])
        slope, intercept = -step, highest
    tone = Tone(*ends, table=grey.spread(np.arange(_TOP + 1), *ends))
    return Plane(steps, bits, _TOP + 1, (tone,), slope, intercept, is_exact=False)
