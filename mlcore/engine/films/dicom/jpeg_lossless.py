"""Lossless JPEG (ITU-T T.81 process 14), in which many hospitals archive radiographs.

No decoder with a licence fit for this project reads it, so here is one for a single grey
component of up to 16 bits. Huffman codes have to be followed one by one; all else is done by
whole arrays, so that a film of two megapixels takes a fraction of a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.uint16]

_SOF3, _DHT, _SOS, _DRI = 0xC3, 0xC4, 0xDA, 0xDD
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_END_OF_SCAN = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_BLOCK_BITS = 1 << 20


class JpegLosslessError(ValueError):
    """A stream that is cut off, damaged, or of a kind that is not decoded here."""


class TruncatedStreamError(JpegLosslessError):
    """A stream that ends before the last sample."""


class UnsupportedStreamError(JpegLosslessError):
    """A sound stream with several components or of another process."""


@dataclass
class _Stream:
    """What the segments before the entropy-coded data say."""

    precision: int = 0
    rows: int = 0
    columns: int = 0
    predictor: int = 0
    point_transform: int = 0
    restart_interval: int = 0
    scan: bytes = b""


def decode(stream: bytes) -> Samples:
    """Decode one grey picture, whose size the caller has found acceptable.

    Returns:
        uint16 (rows, columns), the samples as they were compressed.

    Raises:
        JpegLosslessError: the stream cannot be decoded; a subclass says more.
    """
    head, codes = _segments(stream)
    differences = np.empty(head.rows * head.columns, np.uint16)
    interval = head.restart_interval or differences.size
    if interval % head.columns:
        raise UnsupportedStreamError("a restart interval that is no whole number of rows")
    pieces = _RESTART.split(head.scan)
    samples = np.empty((head.rows, head.columns), np.uint16)
    for index, start in enumerate(range(0, differences.size, interval)):
        if index >= len(pieces):
            raise TruncatedStreamError("fewer restart intervals than the size asks for")
        count = min(interval, differences.size - start)
        part = _differences(pieces[index].replace(b"\xff\0", b"\xff"), count, codes)
        first, last = start // head.columns, (start + count) // head.columns
        samples[first:last] = _predicted(part.reshape(-1, head.columns), head)
    return samples << np.uint16(head.point_transform)


def _segments(stream: bytes) -> tuple[_Stream, npt.NDArray[np.uint8]]:
    """Read the marker segments up to the one scan; the codes are as `_code_table` gives them."""
    head, at = _Stream(), 2
    tables: dict[int, npt.NDArray[np.uint8]] = {}
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            raise JpegLosslessError("no marker where one must be")
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        body = stream[at + 4 : end]
        if end > len(stream):
            break
        if marker == _SOF3:
            _read_frame(head, body)
        elif marker == _DHT:
            tables.update(_read_tables(body))
        elif marker == _DRI and len(body) == 2:
            head.restart_interval = int.from_bytes(body, "big")
        elif marker == _SOS:
            return head, _read_scan(head, body, stream[end:], tables)
        elif 0xC0 <= marker <= 0xCF:
            raise UnsupportedStreamError(f"frame of kind {marker:#x}")
        at = end
    raise TruncatedStreamError("no scan")


def _read_frame(head: _Stream, body: bytes) -> None:
    if len(body) < 9:
        raise JpegLosslessError("a frame header too short")
    if body[5] != 1:
        raise UnsupportedStreamError(f"{body[5]} components")
    head.precision = body[0]
    head.rows, head.columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if not 2 <= head.precision <= 16 or not head.rows or not head.columns:
        raise JpegLosslessError("a frame of no size or depth")


def _read_scan(
    head: _Stream, body: bytes, rest: bytes, tables: dict[int, npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    if not head.columns or len(body) != 6 or body[0] != 1:
        raise JpegLosslessError("a scan that does not fit its frame")
    head.predictor, head.point_transform = body[3], body[5] & 0x0F
    if not 1 <= head.predictor <= 7 or head.point_transform >= head.precision:
        raise JpegLosslessError("a predictor or point transform out of range")
    end = _END_OF_SCAN.search(rest)
    head.scan = rest[: end.start()] if end else rest
    if body[2] >> 4 not in tables:
        raise JpegLosslessError("a scan without its Huffman table")
    return tables[body[2] >> 4]


def _read_tables(body: bytes) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    while len(body) >= 17:
        counts, total = body[1:17], sum(body[1:17])
        values = body[17 : 17 + total]
        if len(values) != total:
            raise JpegLosslessError("a Huffman table too short")
        yield body[0] & 0x0F, _code_table(counts, values)
        body = body[17 + total :]


def _code_table(counts: bytes, values: bytes) -> npt.NDArray[np.uint8]:
    """(65536, 2): code length and category, by the 16 bits that begin with a code; 0 for none."""
    table = np.zeros((65536, 2), np.uint8)
    code, used = 0, 0
    for length, count in enumerate(counts, start=1):
        for value in values[used : used + count]:
            if code >> length or value > 16:
                raise JpegLosslessError("a Huffman table that is none")
            table[code << (16 - length) : (code + 1) << (16 - length)] = length, value
            code += 1
        used += count
        code <<= 1
    return table


def _differences(data: bytes, count: int, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """Decode `count` differences, modulo 65,536, from entropy-coded data without stuffing."""
    # A sample takes 32 bits at most, and eight bytes are looked at from where it begins.
    padded = np.frombuffer(data + bytes(8), np.uint8)
    out, done, at, total = np.empty(count, np.uint16), 0, 0, 8 * len(data)
    # Category 16 stands for 32,768 and has no bits of its own.
    steps = codes[:, 0] + np.where(codes[:, 1] < 16, codes[:, 1], 0)
    steps = np.maximum(steps, 1).astype(np.uint8)
    while done < count:
        if at >= total:
            raise TruncatedStreamError("the entropy-coded data end too early")
        block = slice(at // 8, min(at + _BLOCK_BITS, total) // 8 + 3)
        windows = _windows(padded[block])
        jumps = steps[windows].tobytes()
        offset, limit = 8 * block.start, len(jumps)
        places, place, room = [], at - offset, count - done
        while place < limit and room:
            places.append(place)
            place += jumps[place]
            room -= 1
        out[done : done + len(places)] = _values(padded, np.array(places) + offset, codes)
        done, at = done + len(places), place + offset
    if at > total:
        raise TruncatedStreamError("the entropy-coded data end too early")
    return out


def _windows(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """The 16 bits that begin at each bit of all but the last two bytes."""
    wide = data.astype(np.uint32)
    triple = wide[:-2] << 16 | wide[1:-1] << 8 | wide[2:]
    return (triple[:, np.newaxis] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).ravel()


def _values(
    data: npt.NDArray[np.uint8], places: npt.NDArray[np.int64], codes: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint16]:
    """The differences whose codes begin at the given bits."""
    byte, bit = places >> 3, (places & 7).astype(np.uint64)
    word = np.zeros(len(places), np.uint64)
    for index in range(5):  # 7 bits before it, and up to 32 of its own
        word = word << np.uint64(8) | data[byte + index]
    word = word << (np.uint64(24) + bit)  # the code now begins at the top bit of 64
    length, category = codes[(word >> np.uint64(48)).astype(np.int64)].T
    if not length.all():
        raise JpegLosslessError("a code that the Huffman table does not have")
    bits = np.where(category < 16, category, 0).astype(np.int64)
    word = word << length.astype(np.uint64)
    extra = (word >> np.uint64(32)).astype(np.int64) >> (32 - bits)
    half = np.int64(1) << np.maximum(bits - 1, 0)
    value = np.where((extra < half) & (bits > 0), extra - 2 * half + 1, extra)
    return np.where(category == 16, 32768, value).astype(np.uint16)


def _predicted(differences: npt.NDArray[np.uint16], head: _Stream) -> Samples:
    """Add up the differences of one restart interval, modulo 65,536 (T.81 H.1.2)."""
    samples = differences.copy()
    samples[:1, :1] += np.uint16(1 << (head.precision - head.point_transform - 1))
    # The first row is predicted from the left and the first column from above, always.
    np.cumsum(samples[0], out=samples[0])
    np.cumsum(samples[:, 0], out=samples[:, 0])
    for row in range(1, len(samples)):
        samples[row, 1:] = _row(head.predictor, samples[row], samples[row - 1].astype(np.int64))
    return samples


def _row(
    predictor: int, row: npt.NDArray[np.uint16], above: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint16]:
    """A row after its first sample, from that sample, the differences and the row above."""
    up, up_left = above[1:], above[:-1]
    if predictor == 2:
        return (row[1:] + up).astype(np.uint16)
    if predictor == 3:
        return (row[1:] + up_left).astype(np.uint16)
    if predictor >= 6:
        return _row_one_by_one(predictor, row, above)
    steps = row.astype(np.int64)
    if predictor == 4:
        steps[1:] += up - up_left
    elif predictor == 5:
        steps[1:] += (up - up_left) >> 1
    return np.cumsum(steps)[1:].astype(np.uint16)


def _row_one_by_one(
    predictor: int, row: npt.NDArray[np.uint16], above: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint16]:
    """Predictors that halve the sample on the left, so that no sum over the row exists."""
    left, *differences = row.tolist()
    levels, out = above.tolist(), []
    for index, difference in enumerate(differences, start=1):
        if predictor == 6:
            guess = levels[index] + ((left - levels[index - 1]) >> 1)
        else:
            guess = (left + levels[index]) >> 1
        left = (guess + difference) & 0xFFFF
        out.append(left)
    return np.array(out, np.uint16)
