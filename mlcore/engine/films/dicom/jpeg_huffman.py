"""Huffman decoding of lossless JPEG (ITU-T T.81, annexes C, F.2.2 and H.2).

The length of a code is known only once it is decoded, so codes have to be followed one after
the other, which Python does slowly. Here one step covers a run: all the codes, each with its
extra bits, that the next 16 bits hold in full. A table gives length and values of the run for
each of the 65,536 patterns; NumPy does the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlcore.engine.films.dicom.jpeg_errors import JpegLosslessError, TruncatedStreamError

_BLOCK_BITS = 1 << 20
_WINDOW = 16
_LONGEST_RUN = 8
# More bytes after the last sample are the rest of a part that was overwritten with zeros.
_LONGEST_PADDING = 8


class HuffmanTable:
    """Decoder for the differences between samples and their predictions.

    Args:
        counts: how many codes have 1, 2, ... 16 bits.
        categories: the category (number of extra bits) of each code, in order; at most 16.

    Raises:
        JpegLosslessError: the table is invalid.
    """

    def __init__(self, counts: bytes, categories: bytes) -> None:
        # By the 16 bits that begin with a code; length 0 where no code matches.
        self._lengths, self._categories = _code_table(counts, categories)
        # Category 16 stands for 32,768 and has no extra bits.
        self._extra = np.where(self._categories < 16, self._categories, 0).astype(np.uint8)
        self._sizes = self._lengths + self._extra
        self._run_values, self._run_lengths, self._run_sizes = self._runs()

    def decode_into(self, out: npt.NDArray[np.uint16], data: bytes) -> None:
        """Fill `out` with differences, modulo 65,536.

        Args:
            out: uint16 (samples,).
            data: the entropy-coded data of one restart interval, without stuffed bytes.

        Raises:
            TruncatedStreamError: the data end before `out` is full.
            JpegLosslessError: the data contain an invalid code, or more than `out` holds.
        """
        # Eight bytes are read from where a code begins.
        padded = np.frombuffer(data + bytes(8), np.uint8)
        done, at, total = 0, 0, 8 * len(data)
        while done < len(out):
            if at >= total:
                raise TruncatedStreamError("The entropy-coded data end too early.")
            done, at = self._decode_block(out, done, padded, at, total)
        if at > total:
            raise TruncatedStreamError("The entropy-coded data end too early.")
        # Encoders complete the last byte with ones; some pad with whole bytes.
        rest = data[-(-at // 8) :]
        if len(rest) > _LONGEST_PADDING or rest.strip(b"\0\xff"):
            raise JpegLosslessError("The entropy-coded data do not end with the last sample.")

    def _decode_block(
        self,
        out: npt.NDArray[np.uint16],
        done: int,
        padded: npt.NDArray[np.uint8],
        at: int,
        total: int,
    ) -> tuple[int, int]:
        """Decode about `_BLOCK_BITS` bits from bit `at` on; return the new `done` and `at`."""
        offset = at // 8 * 8
        windows = _windows(padded[offset // 8 : min(at + _BLOCK_BITS, total) // 8 + 3])
        starts, place = _walk(self._run_sizes[windows].tobytes(), at - offset)
        found = windows[starts]
        lengths = np.maximum(self._run_lengths[found], 1).astype(np.int64)
        ends = np.cumsum(lengths)
        last = int(np.searchsorted(ends, len(out) - done))
        if last < len(ends):  # the run that holds the last sample
            surplus = int(ends[last]) - (len(out) - done)
            found, starts, lengths = found[: last + 1], starts[: last + 1], lengths[: last + 1]
            lengths[last] -= surplus
            place = int(starts[last])
            for _ in range(lengths[last]):
                place += int(self._sizes[_window_at(padded, offset + place)])
        values = self._run_values[found]
        (single,) = np.nonzero(self._run_lengths[found] == 0)
        values[single, 0] = self._single_values(padded, starts[single] + offset, total)
        kept = values[np.arange(values.shape[1]) < lengths[:, np.newaxis]]
        out[done : done + len(kept)] = kept
        return done + len(kept), offset + place

    def _single_values(
        self, padded: npt.NDArray[np.uint8], places: npt.NDArray[np.int64], total: int
    ) -> npt.NDArray[np.uint16]:
        """Return the differences whose codes begin at the given bits."""
        byte, bit = places >> 3, (places & 7).astype(np.uint64)
        word = np.zeros(len(places), np.uint64)
        for index in range(5):  # 7 bits before it, and up to 32 of its own
            word = word << np.uint64(8) | padded[byte + index]
        word = word << (np.uint64(24) + bit)  # the code now begins at the top bit of 64
        window = (word >> np.uint64(48)).astype(np.int64)
        length = self._lengths[window]
        if not length.all():
            if places[np.argmin(length)] + _WINDOW > total:
                raise TruncatedStreamError("The entropy-coded data end too early.")
            raise JpegLosslessError("The entropy-coded data contain an invalid code.")
        extra = (word << length.astype(np.uint64) >> np.uint64(32)).astype(np.int64)
        return _difference(extra, 32, self._categories[window], self._extra[window])

    def _runs(self) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return values, number of codes and number of bits of the run in each window.

        If the first code and its extra bits do not fit into the window, the number of codes is 0,
        and the number of bits is that of this code (at least 1).
        """
        values = np.zeros((1 << _WINDOW, _LONGEST_RUN), np.uint16)
        lengths = np.zeros(1 << _WINDOW, np.uint8)
        sizes = np.zeros(1 << _WINDOW, np.uint8)
        (live,) = np.nonzero((self._lengths > 0) & (self._sizes <= _WINDOW))
        for index in range(_LONGEST_RUN):
            rest = live << sizes[live] & 0xFFFF
            size = self._sizes[rest]
            fits = (self._lengths[rest] > 0) & (sizes[live] + size <= _WINDOW)
            live, rest, size = live[fits], rest[fits], size[fits]
            extra = rest << self._lengths[rest] & 0xFFFF
            values[live, index] = _difference(
                extra, _WINDOW, self._categories[rest], self._extra[rest]
            )
            lengths[live] += 1
            sizes[live] += size
        sizes = np.where(lengths > 0, sizes, np.maximum(self._sizes, 1))
        return values[:, : max(1, int(lengths.max()))], lengths, sizes


def _code_table(
    counts: bytes, categories: bytes
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return code length and category by the 16 bits that begin with the code (T.81 annex C)."""
    lengths, found = np.zeros(1 << _WINDOW, np.uint8), np.zeros(1 << _WINDOW, np.uint8)
    code, used = 0, 0
    for length, count in enumerate(counts, start=1):
        for category in categories[used : used + count]:
            if code >> length or category > 16:
                raise JpegLosslessError("Invalid Huffman table.")
            span = slice(code << (_WINDOW - length), (code + 1) << (_WINDOW - length))
            lengths[span], found[span] = length, category
            code += 1
        used += count
        code <<= 1
    return lengths, found


def _difference(
    bits: npt.NDArray[np.int64],
    width: int,
    category: npt.NDArray[np.uint8],
    extra: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint16]:
    """Return the differences that the top `extra` of `width` bits stand for (T.81 F.2.2.1)."""
    count = extra.astype(np.int64)
    value = bits >> (width - count)
    half = np.int64(1) << np.maximum(count - 1, 0)
    value = np.where((value < half) & (count > 0), value - 2 * half + 1, value)
    return np.where(category == 16, 32768, value).astype(np.uint16)


def _windows(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """Return the 16 bits that begin at each bit of all but the last two bytes."""
    wide = data.astype(np.uint32)
    triple = wide[:-2] << 16 | wide[1:-1] << 8 | wide[2:]
    return (triple[:, np.newaxis] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).ravel()


def _window_at(data: npt.NDArray[np.uint8], place: int) -> int:
    """Return the 16 bits that begin at one bit."""
    byte, bit = divmod(place, 8)
    return int.from_bytes(data[byte : byte + 3].tobytes(), "big") >> (8 - bit) & 0xFFFF


def _walk(sizes: bytes, place: int) -> tuple[npt.NDArray[np.int64], int]:
    """Follow runs through a block.

    Args:
        sizes: the bits of the run that begins at each bit of the block.
        place: the bit at which the first run begins.

    Returns:
        The bits at which runs begin, and the one after the last run.
    """
    marks, end = bytearray(len(sizes)), len(sizes)
    while place < end:
        marks[place] = 1
        place += sizes[place]
    return np.flatnonzero(np.frombuffer(marks, np.uint8)), place
