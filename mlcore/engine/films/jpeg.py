"""Decoding of JPEG (ITU-T T.81) with proof that the whole image is in the stream.

libjpeg fills what is missing or damaged with grey and reports it only as a warning, which Pillow
drops. No reading may be based on such an image. Here the entropy-coded data reach the decoder
interval by interval, without the marker that follows: a decoder that still asks for data, or has
been done for some time, proves that they were too few or too many.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.limits import MAX_SCANS

_RESTARTS, _SOI, _EOI, _SOS, _DRI, _DHT, _JPG, _DAC = 0xD0, 0xD8, 0xD9, 0xDA, 0xDD, 0xC4, 0xC8, 0xCC
_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _JPEG_LS = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_ZEROS = bytes(32)
_FRAMES = frozenset({*range(0xC0, 0xD0), _JPEG_LS}) - {_DHT, _JPG, _DAC}
# Real files have fewer than 300, of which most are ICC profiles; a progressive one has ten scans.
_MAX_SEGMENTS = 1000
# More restart intervals are fed without checking each of them.
_MAX_CHECKED_INTERVALS = 4000
# libjpeg takes up to 8 bytes ahead of what it needs. In at most 24 steps of one byte, a decoder
# that needs data leaves some of it; one that skips to the next marker takes each at once.
_AHEAD = 8
_STEPS = 16
# Bytes that decode to long blocks, so that a decoder in need of data does not end with them.
_PADDING = bytes.fromhex("f1e3c7ad5bb66cd9b3e7ce9d3a75ead5ab57ae5cb972e5cb")


@dataclass
class Stream:
    """The structure of a JPEG stream.

    Attributes:
        process: the frame marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive; of any other
            the scans are left out.
        precision: bits per sample.
        width: in pixels.
        height: in pixels.
        components: number of components.
        sampling: horizontal and vertical sampling factor by component identifier.
        interval: MCUs in a restart interval; 0 if there are no restarts.
        scans: for each scan its header segments, its entropy-coded data, and the number of restart
            markers that belong into them.
        end: index after the end marker of the image; anything may follow.
    """

    process: int = 0
    precision: int = 0
    width: int = 0
    height: int = 0
    components: int = 0
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    interval: int = 0
    scans: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    end: int = 0


class DamagedJpegError(ValueError):
    """Raised when a stream is damaged; `cut` tells whether it has no end."""

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


def parse(data: bytes) -> Stream:
    """Return the structure of the image at the start of `data`, up to its own end marker.

    Raises:
        DamagedJpegError: no end marker, no frame, or more segments than any real file.
        FilmError: too_complex, if there are more scans than in any real file.
    """
    stream, first = Stream(), 0
    for marker, start, end, following in _segments(data, 2):
        body = data[start + 4 : end]
        if marker == _EOI:
            stream.end = end
            if not stream.scans:
                raise DamagedJpegError("The stream contains no scan.")
            return stream
        if marker in _FRAMES:
            _read_frame(stream, marker, body)
            if marker not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
                return stream  # no scan of it is read
        if marker == _DRI and len(body) == 2:
            stream.interval = int.from_bytes(body, "big")
        if marker == _SOS:
            if not stream.process:
                raise DamagedJpegError("A scan without a frame.")
            if len(stream.scans) >= MAX_SCANS:
                raise FilmError("too_complex", format="JPEG")
            restarts = _restarts(stream, body)
            stream.scans.append((data[first:end], data[end:following], restarts))
            first = following
    raise DamagedJpegError("The stream has no end marker.", cut=True)


def _segments(data: bytes, at: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk through marker segments, as far as they are complete.

    Yields:
        The marker, where it begins, where its segment ends, and where the next marker is found:
        after the entropy-coded data if the segment begins a scan.

    Raises:
        DamagedJpegError: there are more segments than in any real file.
    """
    for _ in range(_MAX_SEGMENTS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 2 > len(data):
            return
        marker = data[at + 1]
        if marker == _EOI:
            yield marker, at, at + 2, at + 2
            return
        if marker in (0x00, 0x01, 0xFF) or _RESTARTS <= marker <= _SOI:
            at += 1 if marker == 0xFF else 2
            continue
        end = following = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            return
        if marker == _SOS:
            stop = _END_OF_SCAN.search(data, end)
            following = stop.start() if stop else len(data)
            if stop is None and following > end:
                return
        yield marker, at, end, following
        at = following
    raise DamagedJpegError(f"More than {_MAX_SEGMENTS} segments.")


def _read_frame(stream: Stream, marker: int, body: bytes) -> None:
    if stream.process or len(body) < 6:
        raise DamagedJpegError("More than one frame header, or a short one.")
    stream.process, stream.precision, stream.components = marker, body[0], body[5]
    stream.sampling = {
        body[at]: (body[at + 1] >> 4, body[at + 1] & 15)
        for at in range(6, min(len(body) - 2, 6 + 3 * stream.components), 3)
    }
    stream.height = int.from_bytes(body[1:3], "big")
    stream.width = int.from_bytes(body[3:5], "big")
    if not stream.height or not stream.width:
        raise DamagedJpegError("The frame has no size.")


def _restarts(stream: Stream, scan: bytes) -> int:
    """Return how many restart markers a scan contains (T.81 A.2 and B.2.4.4)."""
    if not stream.interval:
        return 0
    chosen = [stream.sampling.get(scan[at], (0, 0)) for at in range(1, len(scan) - 3, 2)]
    factors = [pair for pair in stream.sampling.values() if min(pair) > 0]
    if not chosen or len(factors) != len(stream.sampling) or (0, 0) in chosen:
        raise DamagedJpegError("The scan header does not match the frame header.")
    widest, highest = max(h for h, _ in factors), max(v for _, v in factors)
    if len(chosen) == 1:  # not interleaved: one block is one MCU
        across, down = chosen[0]
        columns = ceil(ceil(stream.width * across / widest) / 8)
        rows = ceil(ceil(stream.height * down / highest) / 8)
    else:
        columns = ceil(stream.width / (8 * widest))
        rows = ceil(stream.height / (8 * highest))
    return ceil(columns * rows / stream.interval) - 1


def check_process(stream: Stream, name: str) -> None:
    """Refuse what cannot be decoded: 12 bits, lossless, hierarchical and arithmetic coding.

    Raises:
        FilmError: jpeg_12_bit or unsupported.
    """
    if stream.precision == 12 and stream.process in (_EXTENDED, _PROGRESSIVE):
        raise FilmError("jpeg_12_bit")
    kinds = {_LOSSLESS: "lossless JPEG", _JPEG_LS: "JPEG-LS"}
    if stream.precision != 8 or stream.process not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
        raise FilmError("unsupported", format=kinds.get(stream.process, name))


def decode(data: bytes, stream: Stream, *, luma: bool) -> JpegImageFile:
    """Decode a stream that `parse` and `check_process` have accepted.

    Args:
        data: the file.
        stream: its structure.
        luma: decode the luma alone where the image is YCbCr or RGB.

    Raises:
        DamagedJpegError: part of the image is missing or damaged.
        OSError, SyntaxError, ValueError, ...: by Pillow, for invalid headers.
    """
    _check_refinement(stream)
    _check_zeros(stream)
    image = JpegImageFile(io.BytesIO(data[: stream.end]))
    if luma and image.mode == "RGB":
        image.draft("L", image.size)  # the size stays full
    feeder = _Feeder(image)
    try:
        for header, coded, restarts in stream.scans:
            feeder.push(header)
            _feed_scan(feeder, coded, restarts)
        feeder.finish()
    finally:
        feeder.close()
    image.tile = []
    return image


class _Feeder:
    """Pillow's decoder of an image, fed piece by piece."""

    def __init__(self, image: JpegImageFile) -> None:
        ((name, extents, _offset, arguments),) = image.tile
        image.load_prepare()
        self._decoder = Image._getdecoder(image.mode, name, arguments, image.decoderconfig)
        self._decoder.setimage(image.im, extents)
        self._rest = b""
        self.finished = False

    def push(self, piece: bytes) -> bool:
        """Give the decoder more data; return whether it took all of them."""
        if self.finished:
            return True
        given = self._rest + piece
        taken, error = self._decoder.decode(given)
        if taken < 0:
            self.finished, self._rest = True, b""
            if error < 0:
                raise DamagedJpegError("The decoder refused the stream.")
            return True
        self._rest = given[taken:]
        return not self._rest

    def finish(self) -> None:
        self.push(b"\xff\xd9")
        if not self.finished:
            raise DamagedJpegError("The image ends before its last line.")

    def close(self) -> None:
        self._decoder.cleanup()


def _feed_scan(feeder: _Feeder, coded: bytes, restarts: int) -> None:
    """Feed a scan, and check that each of its restart intervals is present and complete."""
    marks = list(_RESTART.finditer(coded))
    if len(marks) not in (restarts, restarts + 1):  # some encoders write one more at the end
        raise DamagedJpegError("Restart intervals are missing.", cut=len(marks) < restarts)
    if len(marks) > _MAX_CHECKED_INTERVALS:
        last = marks[-1].end()
        feeder.push(coded[:last])
        _feed_interval(feeder, coded[last:])
        return
    at = 0
    for index, mark in enumerate(marks):
        if mark[0][1] != 0xD0 + index % 8:
            raise DamagedJpegError("Restart markers are missing or out of order.")
        _feed_interval(feeder, coded[at : mark.start()])
        feeder.push(mark[0])
        at = mark.end()
    if at < len(coded) or not marks:
        _feed_interval(feeder, coded[at:])


def _feed_interval(feeder: _Feeder, coded: bytes) -> None:
    """Feed entropy-coded data up to a marker.

    Raises:
        DamagedJpegError: the decoder needs more data, or had been done before the last bytes.
    """
    coded = coded.rstrip(b"\xff")  # fill bytes of the marker
    # A stuffed zero is skipped with its 0xFF, so that a step never ends between them.
    tail = _tail(coded, _AHEAD + _STEPS)
    feeder.push(coded[: len(coded) - sum(map(len, tail))])
    taken_at_once = [feeder.push(step) for step in tail]
    if len(taken_at_once) == _AHEAD + _STEPS and all(taken_at_once):
        raise DamagedJpegError("Data follow the end of the image.")
    feeder.push(_PADDING[:_AHEAD])
    for byte in _PADDING[_AHEAD:]:
        if not feeder.push(bytes([byte])):
            raise DamagedJpegError("Premature end of a data segment.")


def _tail(coded: bytes, count: int) -> list[bytes]:
    """Return the last `count` bytes one by one, each 0xFF with the zero stuffed after it."""
    steps: list[bytes] = []
    at = len(coded)
    while at > 0 and len(steps) < count:
        size = 2 if at >= 2 and coded[at - 2 : at] == b"\xff\0" else 1
        steps.append(coded[at - size : at])
        at -= size
    return steps[::-1]


def _check_zeros(stream: Stream) -> None:
    """Check that no part of a sequential image has been overwritten with zeros.

    The first symbol of a Huffman table has the code of zeros only. Many of them in a row are
    blocks that equal the one before, if these symbols mean "no difference" and "end of block";
    otherwise no encoder writes them.

    Raises:
        DamagedJpegError: a run of zeros does not encode equal blocks.
    """
    if stream.process == _PROGRESSIVE:
        return
    first_symbols: dict[int, int] = {}
    for header, coded, _ in stream.scans:
        first_symbols |= _first_symbols(header)
        if any(first_symbols.values()) and _ZEROS in coded.rstrip(b"\0"):
            raise DamagedJpegError("Part of the image is overwritten with zeros.")


def _first_symbols(header: bytes) -> dict[int, int]:
    """Return the first symbol of each Huffman table that the segments define."""
    found = {}
    for marker, start, end, _ in _segments(header, 0):
        body = header[start + 4 : end] if marker == _DHT else b""
        while len(body) > 17:
            found[body[0]] = body[17]
            body = body[17 + sum(body[1:17]) :]
    return found


def _check_refinement(stream: Stream) -> None:
    """Check that the scans of a progressive image deliver every bit of every coefficient.

    Raises:
        DamagedJpegError: scans are missing, as in a file that was cut and closed.
    """
    if stream.process != _PROGRESSIVE:
        return
    missing: dict[int, list[int | None]] = {}
    for header, _, _ in stream.scans:
        body = _scan_header(header)
        count = body[0] if body else 0
        if len(body) < 4 + 2 * count:
            raise DamagedJpegError("A scan header is too short.")
        first, last, shifts = body[1 + 2 * count : 4 + 2 * count]
        for index in range(count):
            bits = missing.setdefault(body[1 + 2 * index], [None] * 64)
            bits[first : last + 1] = [shifts & 15] * len(bits[first : last + 1])
    complete = len(missing) == stream.components
    if not complete or any(bits != [0] * 64 for bits in missing.values()):
        raise DamagedJpegError("Scans are missing.", cut=True)


def _scan_header(header: bytes) -> bytes:
    """Return the body of the scan header, with which the segments before a scan end."""
    for length in range(8, 15, 2):
        start = len(header) - length
        if header[start - 2 : start] == b"\xff\xda" and header[start + 1] == length:
            return header[start + 2 :]
    return b""
