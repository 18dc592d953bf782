"""Conversion of stored DICOM values to the grey levels that a workstation would display.

Values pass through the modality LUT or rescale, then the VOI LUT or the first window, and are
inverted for MONOCHROME1 or a presentation LUT shape of INVERSE. The result is computed once for
each of the at most 65,536 possible values and looked up, so that no float copy of the film is made.
Without a usable window, the rule of `films.grey` applies. Pixel padding is black and ignored by
that rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from mlcore.engine.films import grey
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, integer, number, text
from mlcore.engine.films.errors import FilmError


def shown(stored: npt.NDArray[Any], photometric: str, dataset: Dataset) -> npt.NDArray[np.uint8]:
    """Convert stored values (rows, columns) or (rows, columns, 3) to 8-bit grey.

    Raises:
        FilmError: corrupt, if a look-up table is invalid.
    """
    try:
        return np.ascontiguousarray(_shown(stored, photometric, dataset))
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error


def _shown(stored: npt.NDArray[Any], photometric: str, dataset: Dataset) -> npt.NDArray[np.uint8]:
    if stored.ndim == 3:
        if stored.dtype != np.uint8:
            shift = max(0, (integer(dataset, "BitsStored") or 16) - 8)
            stored = (stored >> shift).astype(np.uint8)
        if photometric.startswith("YBR"):
            return stored[..., 0]
        return grey.luma(stored)
    domain = _domain(stored.dtype)
    index = stored.view(f"u{stored.dtype.itemsize}")
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(domain, dataset)
        deep = colours.dtype != np.uint8
        table = grey.luma((colours >> 8 if deep else colours).astype(np.uint8)[np.newaxis])[0]
    else:
        table = _tone_table(domain, index, dataset)
    return grey.looked_up(table, index)


def _domain(dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return every value of an integer type, ordered by its bits as an unsigned number."""
    size = 2 ** (8 * dtype.itemsize)
    return np.arange(size, dtype=f"u{dtype.itemsize}").view(dtype)


def _tone_table(
    domain: npt.NDArray[Any], index: npt.NDArray[Any], dataset: Dataset
) -> npt.NDArray[np.uint8]:
    """Return the grey level of every value that could be stored."""
    levels = _modality_levels(domain, dataset)
    padding = _padding(domain, dataset)
    sample = grey.thinned(index)
    sample = sample[~padding[sample]]
    table = _windowed(levels, dataset)
    # A window in which nothing of this film is visible is wrong.
    if table is None or (sample.size and np.ptp(table[sample]) < 2):
        table = _spread(levels, domain, sample, dataset)
    if _is_inverted(dataset):
        table = ~table
    table[padding] = 0
    return table


def _modality_levels(domain: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.float64]:
    """Convert stored values to the modality's units."""
    if dataset.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(domain, dataset), np.float64)
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    return domain.astype(np.float64) * (slope or 1.0) + (intercept or 0.0)


def _windowed(levels: npt.NDArray[np.float64], dataset: Dataset) -> npt.NDArray[np.uint8] | None:
    """Apply the VOI LUT or the first window (PS3.3 C.11.2); None if there is neither."""
    if dataset.get("VOILUTSequence"):
        shades = apply_voi(np.rint(levels).astype(np.int64), dataset, index=0)
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return grey.spread(shades, 0, 2**bits - 1)
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    if centre is None or width is None or width < 1:
        return None
    function = text(dataset, "VOILUTFunction") or "LINEAR"
    if function == "SIGMOID":
        slope = np.clip(-4 * (levels - centre) / width, -60, 60)
        return grey.spread(1 / (1 + np.exp(slope)), 0, 1)
    if function == "LINEAR_EXACT":
        return grey.spread(levels, centre - width / 2, centre + width / 2)
    # LINEAR counts the values in the window, so its ends are width - 1 apart.
    half = max(width - 1, 1e-6) / 2
    return grey.spread(levels, centre - 0.5 - half, centre - 0.5 + half)


def _spread(
    levels: npt.NDArray[np.float64],
    domain: npt.NDArray[Any],
    sample: npt.NDArray[Any],
    dataset: Dataset,
) -> npt.NDArray[np.uint8]:
    """Map the stored range, or the used range, to grey when there is no window."""
    bits = min(integer(dataset, "BitsStored") or 16, 8 * domain.dtype.itemsize)
    bottom = -(2 ** (bits - 1)) if domain.dtype.kind == "i" else 0
    ends = levels[np.isin(domain, (bottom, bottom + 2**bits - 1))]
    low, high = float(ends.min()), float(ends.max())
    if bits > 8 and sample.size:
        low, high = grey.used_range(levels[sample], low, high)
    return grey.spread(levels, low, high)


def _padding(domain: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Return which stored values are padding."""
    first = integer(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(domain.shape, np.bool_)
    last = integer(dataset, "PixelPaddingRangeLimit")
    last = first if last is None else last
    return (domain >= min(first, last)) & (domain <= max(first, last))


def _is_inverted(dataset: Dataset) -> bool:
    """Return whether low values are white.

    Images for presentation state it twice, as MONOCHROME1 and INVERSE: that is one inversion.
    """
    shape = text(dataset, "PresentationLUTShape")
    return text(dataset, "PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"
