"""Decode the pixel data of a DICOM file.

pydicom and its plugins decode native pixels, JPEG baseline, JPEG-LS and JPEG 2000. RLE is
decoded here and lossless JPEG in `jpeg_lossless`, because the decoders available for them crash
on damaged files, allocate without a limit, accept truncated files, or have an incompatible
licence; see `docs/decisions/0015-lossless-jpeg.md`.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, RLELossless

from mlcore.engine.films.dicom import jpeg_lossless
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, integer, text
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.limits import check_scans

_OWN_SYNTAXES = frozenset({RLELossless, JPEGLossless, JPEGLosslessSV1})
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_RLE_HEADER = 64
# Fill bytes count as well. Real headers have fewer than 300, of which most are ICC profiles.
_MAX_SEGMENTS = 1000


def check_syntax(dataset: Dataset) -> None:
    """Refuse a transfer syntax whose pixels cannot be decoded.

    Raises:
        FilmError: with code "unsupported".
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        decodable = syntax in _OWN_SYNTAXES or get_decoder(syntax).is_available
    except NotImplementedError:
        decodable = False
    deep = (integer(dataset, "BitsStored") or 8) > 8
    # Pillow, which decodes this syntax, supports 8 bits only.
    if not decodable or (syntax == JPEGExtended12Bit and deep):
        raise FilmError("unsupported", format=f"DICOM, {syntax.name}")


def decode(dataset: Dataset) -> tuple[npt.NDArray[Any], str]:
    """Decode the single frame of a data set whose size and syntax have been checked.

    Returns:
        Stored values (rows, columns) or (rows, columns, 3), and their photometric
        interpretation, which decompression may have changed.

    Raises:
        FilmError: with code "truncated", "corrupt" or "unsupported".
    """
    syntax, value = UID(dataset.file_meta.TransferSyntaxUID), _value(dataset)
    if syntax.is_encapsulated:
        frame = _frame(value)
        if syntax == RLELossless:
            return _from_rle(frame, dataset), _photometric(dataset)
        _check_stream_size(frame, dataset)
        check_scans(frame, "DICOM")
        if syntax in _OWN_SYNTAXES:
            return _from_jpeg_lossless(frame, dataset), _photometric(dataset)
    elif len(value) < _native_length(dataset):
        raise FilmError("truncated", format="DICOM")
    try:
        # raw=True keeps the luma of YBR images; otherwise pydicom converts them to float RGB.
        stored, properties = get_decoder(syntax).as_array(dataset, raw=True)
    except PYDICOM_ERRORS as error:
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise FilmError("truncated" if cut else "corrupt", format="DICOM") from error
    return stored, str(properties["photometric_interpretation"])


def _value(dataset: Dataset) -> bytes:
    try:
        value = dataset.PixelData
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error
    if not isinstance(value, bytes):
        raise FilmError("corrupt", format="DICOM")
    return value


def _photometric(dataset: Dataset) -> str:
    return text(dataset, "PhotometricInterpretation") or ""


def _native_length(dataset: Dataset) -> int:
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    return int(bits) // 8


def _frame(value: bytes) -> bytes:
    try:
        return next(generate_frames(value, number_of_frames=1))
    except StopIteration as error:
        raise FilmError("truncated", format="DICOM") from error
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error


def _check_stream_size(frame: bytes, dataset: Dataset) -> None:
    """Refuse a stream whose size differs from that in the DICOM header.

    Decoders reserve memory for the size that the stream states. Streams outside the JPEG family
    are refused as well: pydicom passes them to Pillow, which opens any format that it knows,
    decompression bombs included.
    """
    expected = dataset.Columns, dataset.Rows, dataset.SamplesPerPixel
    if _stream_size(frame) != expected:
        raise FilmError("corrupt", format="DICOM")


def _stream_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return columns, rows and samples that a JPEG, JPEG-LS or JPEG 2000 stream states.

    Returns:
        None for any other stream, and where no frame header is found.
    """
    start = frame.find(b"\xff\x4f\xff\x51")
    if start >= 0 and (start == 0 or frame[4:8] == b"jP  "):
        if len(frame) < start + 42:
            return None
        width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
        (samples,) = struct.unpack_from(">H", frame, start + 40)
        return width - left, height - top, samples
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 10 > len(frame) or frame[at] != 0xFF:
            return None
        if frame[at + 1] in _JPEG_FRAME_MARKERS:
            height, width, samples = struct.unpack_from(">HHB", frame, at + 5)
            return width, height, samples
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _from_jpeg_lossless(frame: bytes, dataset: Dataset) -> npt.NDArray[Any]:
    try:
        stored = jpeg_lossless.decode(frame, (dataset.Rows, dataset.Columns))
    except jpeg_lossless.UnsupportedStreamError as error:
        raise FilmError("unsupported", format="DICOM, JPEG Lossless") from error
    except jpeg_lossless.TruncatedStreamError as error:
        raise FilmError("truncated", format="DICOM") from error
    except jpeg_lossless.JpegLosslessError as error:
        raise FilmError("corrupt", format="DICOM") from error
    if dataset.BitsAllocated == 8:
        if stored.max() > 255:
            raise FilmError("corrupt", format="DICOM")
        stored = stored.astype(np.uint8)
    return _signed(stored, dataset)


def _from_rle(frame: bytes, dataset: Dataset) -> npt.NDArray[Any]:
    """Decode RLE (PS3.5, annex G): one PackBits segment for each byte of each sample."""
    rows, columns, samples = dataset.Rows, dataset.Columns, dataset.SamplesPerPixel
    depth = dataset.BitsAllocated // 8
    if len(frame) < _RLE_HEADER:
        raise FilmError("truncated", format="DICOM")
    count, *offsets = struct.unpack_from("<16I", frame)
    starts = offsets[:count]
    # Overlapping segments would let a small file ask for the same work several times.
    ascending = all(one < other for one, other in pairwise([_RLE_HEADER - 1, *starts]))
    if not depth or count != samples * depth or not ascending:
        raise FilmError("corrupt", format="DICOM")
    planes = np.empty((samples, rows * columns, depth), np.uint8)
    for index, (start, end) in enumerate(pairwise([*starts, len(frame)])):
        # The most significant byte comes first.
        sample, byte = index // depth, depth - 1 - index % depth
        plane = _unpacked_bits(frame[start:end], rows * columns)
        planes[sample, :, byte] = np.frombuffer(plane, np.uint8)
    stored = planes.view(f"<u{depth}").reshape(samples, rows, columns)
    return _signed(stored[0] if samples == 1 else np.moveaxis(stored, 0, -1), dataset)


def _unpacked_bits(packed: bytes, size: int) -> bytearray:
    """Decode a PackBits segment as far as `size` bytes, whatever length it expands to.

    Raises:
        FilmError: with code "truncated".
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
    return out[:size]


def _signed(stored: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[Any]:
    """Reinterpret unsigned samples as two's complement where the header says so."""
    if integer(dataset, "PixelRepresentation") != 1:
        return stored
    depth = stored.dtype.itemsize
    spare = max(0, 8 * depth - (integer(dataset, "BitsStored") or 8 * depth))
    return (stored << spare).view(f"i{depth}") >> spare
