"""DICOM films at their stored depth, turned so that higher values are whiter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mlcore.engine.films import grey
from mlcore.engine.films.dicom import tone
from mlcore.engine.films.dicom.spacing import pixel_spacing
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, integer, text
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.plane import Plane, Tone, of_bytes

# More windows than a device offers.
MAX_WINDOWS = 12
# Grey levels between which a curve is taken as a line, where dragging a window starts from it.
_DARK, _BRIGHT = 13, 242


def plane_of(stored: npt.NDArray[Any], photometric: str, dataset: Dataset, *, bits: int) -> Plane:
    """Return a decoded film for windowing.

    Colour films are returned as the 8-bit grey that `tone.shown` makes of them.

    Raises:
        FilmError: corrupt, if a look-up table is invalid; blank.
    """
    if stored.ndim == 3 or photometric.startswith("YBR") or photometric == "PALETTE COLOR":
        pixels, _notices = tone.shown(stored, photometric, dataset)
        return of_bytes(pixels)
    try:
        return _monochrome(stored, dataset, bits)
    except FilmError:
        raise
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error


@dataclass(frozen=True, eq=False)
class _Turned:
    """The values of a film, higher is whiter, and what they stand for.

    Attributes:
        values: uint8 or uint16 (height, width).
        order: for each value, the place of its stored value in the tables of `tone.Mapping`.
        slope, intercept: modality units by value.
    """

    values: npt.NDArray[Any]
    order: npt.NDArray[Any]
    slope: float
    intercept: float

    def ends(self, units: tuple[float, float]) -> tuple[float, float]:
        """Return the values that are black and white if `units` are the ends of the grey scale."""
        first, second = ((unit - self.intercept) / self.slope for unit in units)
        return min(first, second), max(first, second)


def _monochrome(stored: npt.NDArray[Any], dataset: Dataset, bits: int) -> Plane:
    mapping = tone.mapping(stored, dataset, [])
    inverted = tone.is_inverted(dataset)
    if dataset.get("ModalityLUTSequence"):
        turned = _by_modality_lut(stored, mapping, inverted)
    else:
        turned = _turned(stored, dataset, mapping, inverted)
    padding = np.flatnonzero(mapping.is_padding[turned.order])
    return Plane(
        values=turned.values,
        bits=bits,
        levels=len(turned.order),
        tones=(_default(turned, mapping), *_stated(turned, mapping, dataset, inverted)),
        slope=turned.slope,
        intercept=turned.intercept,
        padding=(int(padding[0]), int(padding[-1])) if len(padding) else None,
        spacing=pixel_spacing(dataset),
    )


def _turned(
    stored: npt.NDArray[Any], dataset: Dataset, mapping: tone.Mapping, inverted: bool
) -> _Turned:
    """Count from the lowest value that the stored bits can hold; or from the highest, downwards."""
    bottom, top = _range(stored, dataset)
    size = stored.dtype.itemsize
    unsigned = np.dtype(f"u{size}").type
    places = stored.view(unsigned)
    order = np.arange(bottom, top + 1) % 2 ** (8 * size)
    # Modulo the size of the type, so that signed values need no wider one.
    if inverted == (mapping.levels[order[-1]] > mapping.levels[order[0]]):
        values, order = unsigned(top % 2 ** (8 * size)) - places, order[::-1]
    else:
        values = places - unsigned(bottom % 2 ** (8 * size))
    first, second = mapping.levels[order[0]], mapping.levels[order[1]]
    return _Turned(values, order, float(second - first), float(first))


def _range(stored: npt.NDArray[Any], dataset: Dataset) -> tuple[int, int]:
    """Return the lowest and highest value by BitsStored, or by the type if values lie outside."""
    whole = np.iinfo(stored.dtype)
    bits = min(integer(dataset, "BitsStored") or whole.bits, whole.bits)
    bottom = -(2 ** (bits - 1)) if whole.min else 0
    top = bottom + 2**bits - 1
    if bits < 2 or stored.min() < bottom or stored.max() > top:
        return int(whole.min), int(whole.max)
    return bottom, top


def _by_modality_lut(stored: npt.NDArray[Any], mapping: tone.Mapping, inverted: bool) -> _Turned:
    """Replace the stored values with the units that a table gives them, which are whole numbers."""
    units = np.rint(mapping.levels).astype(np.int64)
    top = int(units.max())
    values = (top - units if inverted else units).astype(np.uint16)
    order = np.zeros(top + 1, np.int64)
    used = np.flatnonzero(~mapping.is_padding)
    order[values[used]] = used
    found = grey.looked_up(values, stored.view(f"u{stored.dtype.itemsize}"))
    return _Turned(found, order, -1.0 if inverted else 1.0, float(top) if inverted else 0.0)


def _default(turned: _Turned, mapping: tone.Mapping) -> Tone:
    table = np.ascontiguousarray(mapping.table[turned.order])
    return Tone(*_line(turned, mapping.ends, table), table=table)


def _line(
    turned: _Turned, ends: tuple[float, float] | None, table: npt.NDArray[np.uint8]
) -> tuple[float, float]:
    """Return the ends of a tone in values; of a curve, those of a line near it."""
    if ends is not None:
        return turned.ends(ends)
    dark, bright = int(np.argmax(table >= _DARK)), int(np.argmax(table >= _BRIGHT))
    return (float(dark), float(bright)) if bright > dark else (0.0, float(len(table) - 1))


def _stated(turned: _Turned, mapping: tone.Mapping, dataset: Dataset, inverted: bool) -> list[Tone]:
    """Return the VOI LUT and the windows that the file states, in its order."""

    def curve(table: npt.NDArray[np.uint8], name: str) -> Tone:
        grey_levels = ~table if inverted else table.copy()
        grey_levels[mapping.is_padding] = 0
        ordered = np.ascontiguousarray(grey_levels[turned.order])
        return Tone(*_line(turned, None, ordered), name, ordered)

    found = []
    lut = tone.voi_lut(mapping.levels, dataset)
    if lut is not None:
        found.append(curve(lut, text(dataset.VOILUTSequence[0], "LUTExplanation") or ""))
    for window in tone.windows(dataset)[:MAX_WINDOWS]:
        if window.function == "SIGMOID":
            found.append(curve(window.tone(mapping.levels).table, window.name))
        else:
            found.append(Tone(*turned.ends(window.ends), window.name))
    return found
