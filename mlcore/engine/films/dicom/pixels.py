"""Decode the pixel data of a DICOM file.

JPEG-LS and JPEG 2000 are decoded by pydicom's plugins, baseline JPEG by Pillow, and uncompressed
pixels, RLE and lossless JPEG by this package, because the decoders available for these crash on
damaged files, allocate without a limit, accept truncated files, or have an incompatible licence;
see `docs/decisions/0015-lossless-jpeg.md`. No decoder receives a stream without its end.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from mlcore.engine.films import jpeg
from mlcore.engine.films.dicom import jpeg_lossless
from mlcore.engine.films.dicom.native import aligned, decode_native
from mlcore.engine.films.dicom.rle import decode_rle
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, integer, text
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.limits import check_scans

_LOSSLESS = frozenset({JPEGLossless, JPEGLosslessSV1})
# Retired, but still in archives: spectral selection and full progression (PS3.5 of 2004, 10.4).
_PROGRESSIVE = frozenset({UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55")})
_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit}) | _PROGRESSIVE
_PLUGINS = {
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
# Fill bytes count as well. Real headers have fewer than 300, of which most are ICC profiles.
_MAX_SEGMENTS = 1000
# No code of JPEG-LS has this many zero bytes in a row; the arithmetic coder of JPEG 2000 writes at
# most 16, besides one for each empty packet.
_ZERO_BYTES = 32


def readable_syntaxes() -> list[UID]:
    """Return the transfer syntaxes whose pixels can be decoded, uncompressed ones first."""
    return [UID(syntax) for syntax in AllTransferSyntaxes if _is_decodable(UID(syntax))]


def check_syntax(dataset: Dataset) -> None:
    """Refuse a transfer syntax whose pixels cannot be decoded.

    Raises:
        FilmError: unsupported or jpeg_12_bit.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not _is_decodable(syntax):
        raise FilmError("unsupported", format=f"DICOM, {syntax.name}")
    if syntax in _LOSSY - {JPEGBaseline8Bit} and (integer(dataset, "BitsStored") or 8) > 8:
        raise FilmError("jpeg_12_bit")


def _is_decodable(syntax: UID) -> bool:
    if syntax in {RLELossless, *_LOSSLESS, *_LOSSY}:
        return True
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def decode(dataset: Dataset) -> tuple[npt.NDArray[Any], str]:
    """Decode the single frame of a data set whose size and syntax have been checked.

    Returns:
        Stored values (rows, columns) or (rows, columns, 3), and their photometric
        interpretation, which decompression may have changed.

    Raises:
        FilmError: truncated, corrupt, unsupported or jpeg_12_bit.
    """
    syntax, value = UID(dataset.file_meta.TransferSyntaxUID), _value(dataset)
    if not syntax.is_encapsulated:
        return aligned(decode_native(dataset, value), dataset), _photometric(dataset)
    frame = _frame(value)
    if syntax == RLELossless:
        return aligned(decode_rle(frame, dataset), dataset), _photometric(dataset)
    precision = _check_stream_size(frame, dataset)
    check_scans(frame, "DICOM")
    if syntax in _LOSSLESS:
        stored = _from_jpeg_lossless(frame, dataset)
        return aligned(stored, dataset, precision), _photometric(dataset)
    if syntax in _LOSSY:
        return _from_jpeg(frame, dataset)
    _check_complete(frame, is_jpeg_2000=syntax in JPEG2000TransferSyntaxes)
    stored, photometric = _from_plugin(dataset, syntax)
    if precision > (integer(dataset, "BitsStored") or precision):
        stored = aligned(stored.view(f"u{stored.dtype.itemsize}"), dataset)
    return stored, photometric


def _from_plugin(dataset: Dataset, syntax: UID) -> tuple[npt.NDArray[Any], str]:
    try:
        # raw=True keeps the luma of YBR images; otherwise pydicom converts them to float RGB.
        stored, properties = get_decoder(syntax).as_array(
            dataset, raw=True, decoding_plugin=_PLUGINS.get(syntax, "")
        )
    except PYDICOM_ERRORS as error:
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise FilmError("truncated" if cut else "corrupt", format="DICOM") from error
    return stored, str(properties["photometric_interpretation"])


def _from_jpeg(frame: bytes, dataset: Dataset) -> tuple[npt.NDArray[Any], str]:
    """Decode baseline JPEG: the luma, or RGB where the components are RGB."""
    photometric = _photometric(dataset)
    try:
        stream = jpeg.parse(frame)
        jpeg.check_process(stream, "DICOM, JPEG")
        image = jpeg.decode(frame, stream, luma=photometric != "RGB")
    except jpeg.DamagedJpegError as error:
        raise FilmError("truncated" if error.cut else "corrupt", format="DICOM") from error
    except FilmError:
        raise
    except (SyntaxError, *PYDICOM_ERRORS) as error:
        raise FilmError("corrupt", format="DICOM") from error
    if photometric == "RGB":  # pydicom decides whether the components were transformed
        return _from_plugin(dataset, UID(dataset.file_meta.TransferSyntaxUID))
    if image.mode != "L":
        raise FilmError("unsupported", format="DICOM, JPEG")
    kept = ("MONOCHROME1", "PALETTE COLOR")
    return np.asarray(image), photometric if photometric in kept else "MONOCHROME2"


def _check_complete(frame: bytes, *, is_jpeg_2000: bool) -> None:
    """Refuse a JPEG-LS or JPEG 2000 stream without its end, or with a part zeroed.

    Without an end marker, the decoder of JPEG-LS searches for it for seconds.
    """
    if not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise FilmError("truncated", format="DICOM")
    start = frame.find(b"\xff\x93" if is_jpeg_2000 else b"\xff\xda")
    packets = _packets(frame) if is_jpeg_2000 else 0
    zeros = re.search(rb"\0{%d}" % (_ZERO_BYTES + packets), frame[max(start, 0) :].rstrip(b"\0"))
    if zeros:
        raise FilmError("corrupt", format="DICOM")


def _packets(frame: bytes) -> int:
    """Return at most how many packets, which take one zero byte if empty, follow each other."""
    at = frame.find(b"\xff\x52")
    if at < 0 or at + 14 > len(frame):
        return 0
    style, _, layers, _, levels = struct.unpack_from(">BBHBB", frame, at + 4)
    packets = layers * (levels + 1) * 3
    # With precincts of their own size, tiles may have thousands; no larger run is suspicious then.
    return packets if not style & 1 else 64 * packets


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


def _frame(value: bytes) -> bytes:
    try:
        return next(generate_frames(value, number_of_frames=1))
    except StopIteration as error:
        raise FilmError("truncated", format="DICOM") from error
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error


def _check_stream_size(frame: bytes, dataset: Dataset) -> int:
    """Return the bits per sample; refuse a stream whose size differs from the DICOM header's.

    Decoders reserve memory for the size that the stream states. Streams outside the JPEG family
    are refused as well: pydicom passes them to Pillow, which opens any format that it knows,
    decompression bombs included.
    """
    expected = dataset.Columns, dataset.Rows, dataset.SamplesPerPixel
    stated = _stream_size(frame)
    if stated is None or stated[:3] != expected:
        raise FilmError("corrupt", format="DICOM")
    return stated[3]


def _stream_size(frame: bytes) -> tuple[int, int, int, int] | None:
    """Return columns, rows, samples and bits that a JPEG, JPEG-LS or JPEG 2000 stream states.

    Returns:
        None for any other stream, and where no frame header is found.
    """
    start = frame.find(b"\xff\x4f\xff\x51")
    if start >= 0 and (start == 0 or frame[4:8] == b"jP  "):
        if len(frame) < start + 43:
            return None
        width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
        (samples,) = struct.unpack_from(">H", frame, start + 40)
        return width - left, height - top, samples, (frame[start + 42] & 0x7F) + 1
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 10 > len(frame) or frame[at] != 0xFF:
            return None
        if frame[at + 1] in _JPEG_FRAME_MARKERS:
            bits, height, width, samples = struct.unpack_from(">BHHB", frame, at + 4)
            return width, height, samples, bits
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
    return stored
