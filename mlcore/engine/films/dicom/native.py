"""Uncompressed pixels of DICOM files (PS3.5, 8.1 and annex D), and where bits lie in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from mlcore.engine.films.dicom.tags import integer, text
from mlcore.engine.films.errors import FilmError


def decode_native(dataset: Dataset, value: bytes) -> npt.NDArray[Any]:
    """Return the words of the single frame: unsigned, (rows, columns) or (rows, columns, samples).

    Of YBR_FULL_422 and YBR_PARTIAL_422, in which two pixels share their chroma, only the luma is
    returned.

    Raises:
        FilmError: truncated or corrupt.
    """
    rows, columns, samples = dataset.Rows, dataset.Columns, dataset.SamplesPerPixel
    big = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    if dataset.BitsAllocated == 1:
        return _single_bits(value, rows, columns)
    depth = dataset.BitsAllocated // 8
    halved = samples == 3 and (text(dataset, "PhotometricInterpretation") or "").endswith("_422")
    count = rows * columns * (2 if halved else samples)
    if len(value) < count * depth:
        raise FilmError("truncated", format="DICOM")
    if big and depth == 1 and dataset["PixelData"].VR == "OW":
        value = _swapped(value)
    words = np.frombuffer(value, f"{'>' if big else '<'}u{depth}", count=count)
    words = words.astype(f"=u{depth}", copy=False)
    if halved:
        if columns % 2:
            raise FilmError("corrupt", format="DICOM")
        return words.reshape(rows, columns // 2, 4)[..., :2].reshape(rows, columns)
    if samples == 1:
        return words.reshape(rows, columns)
    if integer(dataset, "PlanarConfiguration") == 1:
        return np.moveaxis(words.reshape(samples, rows, columns), 0, -1)
    return words.reshape(rows, columns, samples)


def _single_bits(value: bytes, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Return pixels of one bit each, the first in the lowest bit."""
    packed = np.frombuffer(value, np.uint8)
    if 8 * len(packed) < rows * columns:
        raise FilmError("truncated", format="DICOM")
    bits = np.unpackbits(packed, count=rows * columns, bitorder="little")
    return bits.reshape(rows, columns)


def _swapped(value: bytes) -> bytes:
    """Swap the bytes of 16-bit words, in which big-endian files may store 8-bit pixels."""
    return np.frombuffer(value[: len(value) // 2 * 2], "<u2").byteswap().tobytes()


def aligned(
    words: npt.NDArray[Any], dataset: Dataset, precision: int | None = None
) -> npt.NDArray[Any]:
    """Return the values that words hold: shifted down from HighBit, masked, with their sign.

    Older editions of PS3.5 8.1.1 allow any HighBit, and overlays in the bits not used.

    Args:
        words: unsigned 8- or 16-bit words.
        dataset: states BitsStored, HighBit and PixelRepresentation.
        precision: bits per sample that a compressed stream states. Where they are not more than
            BitsStored, the samples are the values, whatever HighBit says.
    """
    width = 8 * words.dtype.itemsize
    stored = min(integer(dataset, "BitsStored") or width, width)
    high = integer(dataset, "HighBit")
    is_plain = high is None or (precision is not None and precision <= stored)
    high = stored - 1 if high is None or is_plain else min(max(high, stored - 1), width - 1)
    is_signed = integer(dataset, "PixelRepresentation") == 1
    above, below = width - 1 - high, width - stored
    if not above and not below and not is_signed:
        return words
    raised = words << words.dtype.type(above)
    shift = words.dtype.type(below)
    if is_signed:
        return raised.view(f"i{words.dtype.itemsize}") >> shift.astype(f"i{words.dtype.itemsize}")
    return raised >> shift
