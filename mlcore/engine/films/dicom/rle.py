"""RLE compression (PS3.5, annex G)."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mlcore.engine.films.errors import FilmError

_HEADER = 64
# Segments are padded to an even length; some encoders align them to more.
_LONGEST_PADDING = 16


def decode_rle(frame: bytes, dataset: Dataset) -> npt.NDArray[Any]:
    """Return unsigned words: one PackBits segment holds each byte of each sample.

    Raises:
        FilmError: truncated or corrupt.
    """
    rows, columns, samples = dataset.Rows, dataset.Columns, dataset.SamplesPerPixel
    depth = dataset.BitsAllocated // 8
    if len(frame) < _HEADER:
        raise FilmError("truncated", format="DICOM")
    count, *offsets = struct.unpack_from("<16I", frame)
    starts = offsets[:count]
    # Overlapping segments would let a small file ask for the same work several times.
    ascending = all(one < other for one, other in pairwise([_HEADER - 1, *starts]))
    if not depth or count != samples * depth or not ascending:
        raise FilmError("corrupt", format="DICOM")
    planes = np.empty((samples, rows * columns, depth), np.uint8)
    for index, (start, end) in enumerate(pairwise([*starts, len(frame)])):
        # The most significant byte comes first.
        sample, byte = index // depth, depth - 1 - index % depth
        plane = _unpacked(frame[start:end], rows * columns)
        planes[sample, :, byte] = np.frombuffer(plane, np.uint8)
    stored = planes.view(f"<u{depth}").reshape(samples, rows, columns)
    return stored[0] if samples == 1 else np.moveaxis(stored, 0, -1)


def _unpacked(packed: bytes, size: int) -> bytearray:
    """Decode a PackBits segment as far as `size` bytes, whatever length it expands to.

    Raises:
        FilmError: truncated, or corrupt if data follow the last pixel.
    """
    out, at = bytearray(), 0
    while len(out) < size:
        if at + 1 >= len(packed):
            raise FilmError("truncated", format="DICOM")
        head = packed[at]
        if head < 128:
            out += packed[at + 1 : at + 2 + head]
            at += 2 + head
        else:  # 128 does nothing
            out += packed[at + 1 : at + 2] * (257 - head) if head > 128 else b""
            at += 2 if head > 128 else 1
    if len(packed) - at > _LONGEST_PADDING:
        raise FilmError("corrupt", format="DICOM")
    return out[:size]
