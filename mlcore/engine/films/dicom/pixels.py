"""The picture inside a DICOM file: native, or decompressed by the library fit for its syntax.

RLE and lossless JPEG are decoded here and next door: the decoders at hand for them end a thread
on a damaged file, or have a licence that this project cannot take.
"""

from __future__ import annotations

import struct
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

_OWN_SYNTAXES = frozenset({RLELossless, JPEGLossless, JPEGLosslessSV1})
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_RLE_HEADER = 64


def check_syntax(dataset: Dataset) -> None:
    """Refuse a transfer syntax in which pixels cannot be decoded.

    Raises:
        FilmError: unsupported.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        decodable = syntax in _OWN_SYNTAXES or get_decoder(syntax).is_available
    except NotImplementedError:
        decodable = False
    deep = (integer(dataset, "BitsStored") or 8) > 8
    # The decoder of that syntax takes the 8-bit part of it alone.
    if not decodable or (syntax == JPEGExtended12Bit and deep):
        raise FilmError("unsupported", format=f"DICOM, {syntax.name}")


def decode(dataset: Dataset) -> tuple[npt.NDArray[Any], str]:
    """Decode the one frame of a data set whose size and syntax have been checked.

    Returns:
        Stored values (rows, columns) or (rows, columns, 3), and their photometric
        interpretation, which decompression may have changed.

    Raises:
        FilmError: truncated, corrupt or unsupported.
    """
    syntax, value = UID(dataset.file_meta.TransferSyntaxUID), _value(dataset)
    if syntax.is_encapsulated:
        frame = _frame(value)
        if syntax == RLELossless:
            return _from_rle(frame, dataset), _photometric(dataset)
        _check_stream_size(frame, dataset)
        if syntax in _OWN_SYNTAXES:
            return _from_jpeg_lossless(frame, dataset), _photometric(dataset)
    elif len(value) < _native_length(dataset):
        raise FilmError("truncated", format="DICOM")
    try:
        # Raw: a luma plane is taken as it is, where pydicom would make float RGB of it.
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
    """A compressed picture states its own size, and that is what its decoder reserves.

    A stream that is none of the JPEG family must not reach a decoder either: pydicom hands it
    to Pillow, which would open a bomb of any format that it knows.
    """
    expected = dataset.Columns, dataset.Rows, dataset.SamplesPerPixel
    if _stream_size(frame) != expected:
        raise FilmError("corrupt", format="DICOM")


def _stream_size(frame: bytes) -> tuple[int, int, int] | None:
    """Columns, rows and samples by a JPEG, JPEG-LS or JPEG 2000 stream; None for others."""
    start = frame.find(b"\xff\x4f\xff\x51")
    if start >= 0 and (start == 0 or frame[4:8] == b"jP  "):
        if len(frame) < start + 42:
            return None
        width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
        (samples,) = struct.unpack_from(">H", frame, start + 40)
        return width - left, height - top, samples
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 10 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in _JPEG_FRAME_MARKERS:
            height, width, samples = struct.unpack_from(">HHB", frame, at + 5)
            return width, height, samples
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _from_jpeg_lossless(frame: bytes, dataset: Dataset) -> npt.NDArray[Any]:
    try:
        stored = jpeg_lossless.decode(frame)
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
    """Decode PS3.5 annex G: one PackBits segment for each byte of each sample."""
    rows, columns, samples = dataset.Rows, dataset.Columns, dataset.SamplesPerPixel
    depth = dataset.BitsAllocated // 8
    if len(frame) < _RLE_HEADER:
        raise FilmError("truncated", format="DICOM")
    count, *offsets = struct.unpack_from("<16I", frame)
    if count != samples * depth or any(at < _RLE_HEADER for at in offsets[:count]):
        raise FilmError("corrupt", format="DICOM")
    planes = np.empty((samples, rows * columns, depth), np.uint8)
    for index, start in enumerate(offsets[:count]):
        # The most significant byte comes first.
        sample, byte = index // depth, depth - 1 - index % depth
        plane = _unpacked_bits(frame, start, rows * columns)
        planes[sample, :, byte] = np.frombuffer(plane, np.uint8)
    stored = planes.view(f"<u{depth}").reshape(samples, rows, columns)
    return _signed(stored[0] if samples == 1 else np.moveaxis(stored, 0, -1), dataset)


def _unpacked_bits(packed: bytes, at: int, size: int) -> bytearray:
    """`size` bytes from a PackBits segment, however many more it would give."""
    out = bytearray()
    while len(out) < size:
        if at + 1 >= len(packed):
            raise FilmError("truncated", format="DICOM")
        head = packed[at]
        if head < 128:
            out += packed[at + 1 : at + 2 + head]
            at += 2 + head
        else:
            out += packed[at + 1 : at + 2] * (257 - head) if head > 128 else b""
            at += 2 if head > 128 else 1
    return out[:size]


def _signed(stored: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[Any]:
    """Unsigned samples as the signed ones that they are, where the header says so."""
    if integer(dataset, "PixelRepresentation") != 1:
        return stored
    depth = stored.dtype.itemsize
    spare = max(0, 8 * depth - (integer(dataset, "BitsStored") or 8 * depth))
    return (stored << spare).view(f"i{depth}") >> spare
