"""Decode lossless JPEG (ITU-T T.81, process 14): one grey component of 2 to 16 bits.

Many hospitals archive radiographs in this format. The decoder is our own because the maintained
ones either crash on damaged files or return an image for a stream that is cut off; see
`docs/decisions/0015-lossless-jpeg.md`. `jpeg_huffman` decodes the entropy-coded data,
`jpeg_prediction` turns differences into samples, this module reads the markers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mlcore.engine.films.dicom.jpeg_errors import (
    JpegLosslessError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from mlcore.engine.films.dicom.jpeg_huffman import HuffmanTable
from mlcore.engine.films.dicom.jpeg_prediction import reconstruct

__all__ = ["JpegLosslessError", "TruncatedStreamError", "UnsupportedStreamError", "decode"]

Samples = npt.NDArray[np.uint16]

_SOF3, _DHT, _SOS, _DRI = 0xC3, 0xC4, 0xDA, 0xDD
# Each pattern starts with a single 0xFF: with `\xff+` a run of them takes quadratic time.
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# Fill bytes count as well. Real headers have fewer than 300, of which most are ICC profiles.
_MAX_SEGMENTS = 1000


@dataclass
class _Header:
    """What the marker segments before the entropy-coded data state."""

    precision: int = 0
    rows: int = 0
    columns: int = 0
    predictor: int = 0
    point_transform: int = 0
    restart_interval: int = 0
    table_id: int = 0
    tables: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    scan: bytes = b""


def decode(stream: bytes, shape: tuple[int, int]) -> Samples:
    """Decode one grey image.

    Args:
        stream: a JPEG stream, from its SOI marker on.
        shape: the expected rows and columns. Memory is reserved only if the stream states the
            same size.

    Returns:
        uint16 (rows, columns), the samples as they were compressed.

    Raises:
        TruncatedStreamError: the stream ends before the last sample.
        UnsupportedStreamError: several components, or another JPEG process.
        JpegLosslessError: the stream is damaged or of another size.
    """
    header = _read_header(stream)
    if (header.rows, header.columns) != shape:
        raise JpegLosslessError(
            f"Expected {shape[0]} rows and {shape[1]} columns, "
            f"received {header.rows} and {header.columns}."
        )
    interval = header.restart_interval or header.rows * header.columns
    if interval % header.columns:
        raise UnsupportedStreamError("The restart interval is not a whole number of rows.")
    rows = min(interval // header.columns, header.rows)
    table = HuffmanTable(*header.tables[header.table_id])
    samples = np.empty((header.rows, header.columns), np.uint16)
    pieces = _pieces(header.scan, count=-(-header.rows // rows))
    for part, piece in zip(_parts(samples, rows), pieces, strict=True):
        table.decode_into(part.reshape(-1), piece)
    first = 1 << (header.precision - header.point_transform - 1)
    reconstruct(samples, header.predictor, first=first, rows_per_interval=rows)
    samples <<= np.uint16(header.point_transform)
    return samples


def _parts(samples: Samples, rows: int) -> Iterator[Samples]:
    """Split an image into its restart intervals, of `rows` rows each."""
    for first in range(0, len(samples), rows):
        yield samples[first : first + rows]


def _pieces(scan: bytes, count: int) -> Iterator[bytes]:
    """Split a scan into the entropy-coded data of its `count` restart intervals."""
    pieces = _RESTART.split(scan)
    data, markers = pieces[::2], pieces[1::2]
    if len(data) < count:
        raise TruncatedStreamError(f"Only {len(data)} of {count} restart intervals are present.")
    expected = [bytes([0xD0 + index % 8]) for index in range(count - 1)]
    if markers != expected:
        raise JpegLosslessError("Restart markers are missing, repeated or out of order.")
    for piece in data:
        # Within the data, 0xFF is always followed by 0; at the end it is a fill byte.
        yield piece.rstrip(b"\xff").replace(b"\xff\0", b"\xff")


def _read_header(stream: bytes) -> _Header:
    """Read the marker segments up to the first scan.

    Raises:
        JpegLosslessError: the segments are damaged, incomplete or unsupported.
    """
    header, at = _Header(), 2
    for _ in range(_MAX_SEGMENTS):
        if at + 4 > len(stream):
            break
        if stream[at] != 0xFF:
            raise JpegLosslessError(f"Expected a marker at byte {at}.")
        marker = stream[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        if end > len(stream):
            break
        body = stream[at + 4 : end]
        if marker == _SOS:
            _read_scan(header, body)
            stop = _END_OF_SCAN.search(stream, end)
            header.scan = stream[end : stop.start() if stop else len(stream)]
            return header
        _read_segment(header, marker, body)
        at = end
    else:
        raise JpegLosslessError(f"More than {_MAX_SEGMENTS} marker segments.")
    raise TruncatedStreamError("The stream ends before its first scan.")


def _read_segment(header: _Header, marker: int, body: bytes) -> None:
    if marker == _SOF3:
        _read_frame(header, body)
    elif marker == _DHT:
        _read_tables(header, body)
    elif marker == _DRI and len(body) == 2:
        header.restart_interval = int.from_bytes(body, "big")
    elif 0xC0 <= marker <= 0xCF:
        raise UnsupportedStreamError(f"Unsupported JPEG process: frame marker {marker:#x}.")


def _read_frame(header: _Header, body: bytes) -> None:
    if header.rows:
        raise JpegLosslessError("More than one frame header.")
    if len(body) < 9:
        raise JpegLosslessError(f"The frame header has {len(body)} bytes; expected 9.")
    if body[5] != 1:
        raise UnsupportedStreamError(f"Expected 1 component, received {body[5]}.")
    header.precision = body[0]
    header.rows, header.columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if not 2 <= header.precision <= 16 or not header.rows or not header.columns:
        raise JpegLosslessError(
            f"Invalid frame: {header.rows} rows, {header.columns} columns, "
            f"{header.precision} bits per sample."
        )


def _read_tables(header: _Header, body: bytes) -> None:
    """Store the Huffman tables of a segment. Only the one that the scan uses is expanded."""
    while len(body) >= 17:
        counts, total = body[1:17], sum(body[1:17])
        values = body[17 : 17 + total]
        if len(values) != total:
            raise JpegLosslessError("Incomplete Huffman table.")
        header.tables[body[0] & 0x0F] = counts, values
        body = body[17 + total :]


def _read_scan(header: _Header, body: bytes) -> None:
    if not header.rows or len(body) != 6 or body[0] != 1:
        raise JpegLosslessError("The scan header does not match the frame header.")
    header.table_id, header.predictor, header.point_transform = body[2] >> 4, body[3], body[5] & 15
    if not 1 <= header.predictor <= 7:
        raise JpegLosslessError(f"Invalid predictor: {header.predictor}. Expected 1 to 7.")
    if header.point_transform >= header.precision:
        raise JpegLosslessError(
            f"Invalid point transform: {header.point_transform} of {header.precision} bits."
        )
    if header.table_id not in header.tables:
        raise JpegLosslessError(f"Missing Huffman table {header.table_id}.")
