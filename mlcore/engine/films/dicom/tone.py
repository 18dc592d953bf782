"""Conversion of stored DICOM values to the grey levels that a workstation would display.

Values pass through the modality LUT or rescale, then the VOI LUT or a window, and are inverted for
MONOCHROME1 or a presentation LUT shape of INVERSE. The result is computed once for each of the at
most 65,536 possible values and looked up, so that no float copy of the film is made. Without a
usable window, the rule of `films.grey` applies. Pixel padding is black and ignored by that rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from mlcore.engine.films import grey
from mlcore.engine.films.dicom.luts import Levels, first_lut
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, integer, number, numbers, text, texts
from mlcore.engine.films.errors import FilmError

# A window that shows nearly all of a film in fewer grey levels than this is set aside.
_FEWEST_SHADES = 32
# A film whose values lie within fewer levels than this shows nothing but noise.
_FEWEST_LEVELS = 16
_TAILS_PERCENT = (0.1, 99.9)


def shown(
    stored: npt.NDArray[Any], photometric: str, dataset: Dataset
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Convert stored values (rows, columns) or (rows, columns, 3) to 8-bit grey.

    Returns:
        The film, and codes of `films.notices`.

    Raises:
        FilmError: corrupt, if a look-up table is invalid; blank.
    """
    notices: list[str] = []
    try:
        pixels = np.ascontiguousarray(_shown(stored, photometric, dataset, notices))
    except FilmError:
        raise
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error
    return pixels, tuple(notices)


def _shown(
    stored: npt.NDArray[Any], photometric: str, dataset: Dataset, notices: list[str]
) -> npt.NDArray[np.uint8]:
    if stored.ndim == 3 or photometric.startswith("YBR"):
        return _colours_shown(stored, photometric, dataset)
    domain = _domain(stored.dtype)
    index = stored.view(f"u{stored.dtype.itemsize}")
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(domain, dataset)
        deep = colours.dtype != np.uint8
        table = grey.luma((colours >> 8 if deep else colours).astype(np.uint8)[np.newaxis])[0]
    else:
        table = mapping(stored, dataset, notices).table
    return grey.looked_up(table, index)


def _colours_shown(
    stored: npt.NDArray[Any], photometric: str, dataset: Dataset
) -> npt.NDArray[np.uint8]:
    """Return the luma; `stored` has two dimensions if its chroma has been left out."""
    if stored.dtype != np.uint8:
        shift = max(0, (integer(dataset, "BitsStored") or 16) - 8)
        stored = (stored >> shift).astype(np.uint8)
    if not photometric.startswith("YBR"):
        return grey.luma(stored)
    luma = stored if stored.ndim == 2 else stored[..., 0]
    # YBR_PARTIAL keeps black at 16 and white at 235.
    return grey.spread(luma, 16, 235) if photometric.startswith("YBR_PARTIAL") else luma


def _domain(dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return every value of an integer type, ordered by its bits as an unsigned number."""
    size = 2 ** (8 * dtype.itemsize)
    return np.arange(size, dtype=f"u{dtype.itemsize}").view(dtype)


@dataclass(frozen=True, eq=False)
class Mapping:
    """How a data set's stored values are shown.

    Attributes:
        levels: modality units of every value that could be stored, in the order of `domain`.
        table: the grey level of every value.
        is_padding: which values are padding.
        ends: the units that are shown as the ends of the grey scale, if all between are linear.
    """

    levels: Levels
    table: npt.NDArray[np.uint8]
    is_padding: npt.NDArray[np.bool_]
    ends: tuple[float, float] | None


def mapping(stored: npt.NDArray[Any], dataset: Dataset, notices: list[str]) -> Mapping:
    """Return how the stored values of a monochrome film are shown.

    Raises:
        FilmError: blank.
    """
    domain = _domain(stored.dtype)
    index = stored.view(f"u{stored.dtype.itemsize}")
    levels = _modality_levels(domain, dataset)
    padding = _padding(domain, dataset)
    sample = grey.thinned(index)
    sample = sample[~padding[sample]]
    tone = _windowed(levels, domain, sample, dataset, notices)
    if tone is None:
        ends = _used_range(levels, domain, sample, dataset)
        tone = _Tone(grey.spread(levels, *ends), ends)
    table = ~tone.table if is_inverted(dataset) else tone.table
    table[padding] = 0
    return Mapping(levels, table, padding, tone.ends)


class _Tone(NamedTuple):
    """Grey levels before inversion, and their ends if they are linear."""

    table: npt.NDArray[np.uint8]
    ends: tuple[float, float] | None


def _modality_levels(domain: npt.NDArray[Any], dataset: Dataset) -> Levels:
    """Convert stored values to the modality's units."""
    levels = domain.astype(np.float64)
    lut = first_lut(dataset, "ModalityLUTSequence", is_signed=domain.dtype.kind == "i")
    if lut is not None:
        return lut.applied(levels)
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    return levels * (slope or 1.0) + (intercept or 0.0)


@dataclass(frozen=True)
class Window:
    """A window that a file states, in modality units, with its explanation."""

    centre: float
    width: float
    function: str
    name: str = ""

    @property
    def ends(self) -> tuple[float, float]:
        """The units at which the grey scale begins and ends, unless it is a sigmoid."""
        if self.function == "LINEAR_EXACT":
            return self.centre - self.width / 2, self.centre + self.width / 2
        # LINEAR counts the values in the window, so its ends are width - 1 apart.
        half = max(self.width - 1, 1e-6) / 2
        return self.centre - 0.5 - half, self.centre - 0.5 + half

    def tone(self, levels: Levels) -> _Tone:
        if self.function == "SIGMOID":
            slope = np.clip(-4 * (levels - self.centre) / self.width, -60, 60)
            return _Tone(grey.spread(1 / (1 + np.exp(slope)), 0, 1), None)
        return _Tone(grey.spread(levels, *self.ends), self.ends)


def windows(dataset: Dataset) -> list[Window]:
    """Return the usable windows of a data set, in its order."""
    centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    function = (text(dataset, "VOILUTFunction") or "LINEAR").upper()
    names = [*texts(dataset, "WindowCenterWidthExplanation"), *[""] * len(centres)]
    # Only LINEAR needs whole levels (C.11.2.1.2 and C.11.2.1.3).
    return [
        Window(centre, width, function, name)
        for centre, width, name in zip(centres, widths, names, strict=False)
        if width >= 1 or (function != "LINEAR" and width > 0)
    ]


def voi_lut(levels: Levels, dataset: Dataset) -> npt.NDArray[np.uint8] | None:
    """Return the grey levels by the first VOI LUT, before inversion; None if there is none."""
    lut = first_lut(dataset, "VOILUTSequence", is_signed=float(levels.min()) < 0)
    return None if lut is None else grey.spread(lut.applied(levels), 0, lut.top)


def _windowed(
    levels: Levels,
    domain: npt.NDArray[Any],
    sample: npt.NDArray[Any],
    dataset: Dataset,
    notices: list[str],
) -> _Tone | None:
    """Apply the VOI LUT or the first window that shows the film (PS3.3 C.11.2).

    Raises:
        FilmError: blank, if no window could show more than noise.
    """
    table = voi_lut(levels, dataset)
    tones = [] if table is None else [_Tone(table, None)]
    tones += [window.tone(levels) for window in windows(dataset)]
    for tone in tones:
        shades = np.percentile(tone.table[sample], _TAILS_PERCENT) if sample.size else None
        if shades is None or np.ptp(shades) >= _fewest(sample):
            return tone
    if tones or (numbers(dataset, "WindowCenter") and numbers(dataset, "WindowWidth")):
        notices.append("window_set_aside")
        if sample.size and np.ptp(np.percentile(domain[sample], _TAILS_PERCENT)) < _FEWEST_LEVELS:
            raise FilmError("blank")
    return None


def _fewest(sample: npt.NDArray[Any]) -> int:
    """Return how many shades a film must be shown in: all, if it has few of its own."""
    return min(_FEWEST_SHADES, len(np.unique(sample[:: max(1, sample.size // 5000)])) - 1)


def _used_range(
    levels: npt.NDArray[np.float64],
    domain: npt.NDArray[Any],
    sample: npt.NDArray[Any],
    dataset: Dataset,
) -> tuple[float, float]:
    """Return the units to map to black and white when there is no window."""
    bits = min(integer(dataset, "BitsStored") or 16, 8 * domain.dtype.itemsize)
    bottom = -(2 ** (bits - 1)) if domain.dtype.kind == "i" else 0
    ends = levels[np.isin(domain, (bottom, bottom + 2**bits - 1))]
    low, high = float(ends.min()), float(ends.max())
    if bits > 8 and sample.size:
        low, high = grey.used_range(levels[sample], low, high)
    return low, high


def _padding(domain: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Return which stored values are padding."""
    first = _as_stored(integer(dataset, "PixelPaddingValue"), domain)
    if first is None:
        return np.zeros(domain.shape, np.bool_)
    last = _as_stored(integer(dataset, "PixelPaddingRangeLimit"), domain)
    last = first if last is None else last
    return (domain >= min(first, last)) & (domain <= max(first, last))


def _as_stored(value: int | None, domain: npt.NDArray[Any]) -> int | None:
    """Return a padding value with the sign of the pixels, whichever its own element has."""
    lowest, highest = int(domain.min()), int(domain.max())
    if value is None or lowest <= value <= highest:
        return value
    size = highest - lowest + 1
    wrapped = (value - lowest) % size + lowest
    # Only the other reading of the same 16 bits, not any number.
    return wrapped if abs(value) < 65536 and wrapped % 65536 == value % 65536 else None


def is_inverted(dataset: Dataset) -> bool:
    """Return whether low values are white.

    Images for presentation state it twice, as MONOCHROME1 and INVERSE: that is one inversion.
    """
    shape = text(dataset, "PresentationLUTShape")
    return text(dataset, "PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"
