"""Look-up tables of DICOM files (PS3.3, C.11.1 and C.11.2), read as devices write them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from mlcore.engine.films.dicom.tags import numbers

Levels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lut:
    """A look-up table.

    Attributes:
        entries: the outputs, in order.
        first: the input that the first entry stands for; smaller ones get the first output, and
            those beyond the table the last.
        top: the output that stands for white.
    """

    entries: Levels
    first: int
    top: float

    def applied(self, levels: Levels) -> Levels:
        index = np.clip(np.rint(levels) - self.first, 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int64)]


def first_lut(dataset: Dataset, keyword: str, *, is_signed: bool) -> Lut | None:
    """Return the table in the first item of a sequence; None if there is none.

    Two bytes may hold one 16-bit entry, one entry of 8 bits, or two entries of 8 bits (correction
    proposal CP-522). Many tables use fewer bits than they state; then white is the highest level
    that is used.

    Args:
        dataset: the data set.
        keyword: ModalityLUTSequence or VOILUTSequence.
        is_signed: whether the inputs may be negative, which decides the sign of the first one.

    Raises:
        ValueError, LookupError, TypeError: the table is invalid.
    """
    sequence = dataset.get(keyword)
    if not sequence:
        return None
    item = sequence[0]
    descriptor = [int(value) for value in numbers(item, "LUTDescriptor")]
    if len(descriptor) != 3:
        raise ValueError(f"LUTDescriptor must have 3 values; received {len(descriptor)}.")
    count, first, bits = descriptor
    count = count % 65536 or 65536
    if is_signed and first > 32767:
        first -= 65536
    big = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    entries = _entries(item, count, is_big_endian=big)
    if not 1 <= bits <= 16:
        raise ValueError(f"A table must have 8 to 16 bits per entry; received {bits}.")
    return Lut(entries.astype(np.float64), first, _white(bits, int(entries.max())))


def _white(bits: int, highest: int) -> float:
    """Return the level of white: the highest that is used if the table states too many bits."""
    top = 2**bits - 1
    return float(highest if highest > top or 4 * highest <= top + 1 else top)


def _entries(item: Dataset, count: int, *, is_big_endian: bool) -> npt.NDArray[np.uint16]:
    data = item.get("LUTData")
    if data is None:
        raise ValueError("The table has no data.")
    if not isinstance(data, bytes):
        words = np.atleast_1d(np.asarray(data)).astype(np.int64) & 0xFFFF
        data = words.astype("<u2").tobytes()
    elif is_big_endian:
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    if len(data) >= 2 * count:
        return np.frombuffer(data, "<u2", count=count)
    if len(data) >= count:
        return np.frombuffer(data, np.uint8, count=count).astype(np.uint16)
    raise ValueError(f"A table of {count} entries has {len(data)} bytes.")
