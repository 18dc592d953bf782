"""DICOM through pydicom, to upright 8-bit grey as a reading station would show it.

The stored values go through the modality LUT or rescale, then the VOI LUT or the first window,
and are inverted for MONOCHROME1 (or where the presentation LUT shape says INVERSE). All of
that is worked out once for each value that could be stored, at most 65,536 of them, and looked
up: no float copy of a film is made. Without a usable window the rule of `mlcore.engine.grey`
applies. Pixel padding shows black and has no say in that rule.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom.config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from mlcore.engine import grey, jpeg_lossless
from mlcore.engine.dicom_header import PYDICOM_ERRORS, integer, number, read_header, text
from mlcore.engine.film import DicomHeader
from mlcore.engine.film_error import FilmError, check_size

# pydicom quotes odd values in its warnings, and those may be a patient's name: keep them out
# of logs. Values are checked here instead.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")

# Plain radiographs: computed, digital (DR is what some makers write), film scans, radiographs
# from a fluoroscopy unit, and secondary captures, of which the scope gate says what they show.
ACCEPTED_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR", "RF", "SC", "OT"})
# A class of object says more reliably than the modality what a file holds.
_CLASS_MODALITIES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.1.3": "IO",
    "1.2.840.10008.5.1.4.1.1.12.1": "XA",
}
# Some 30,000 elements, far above what any radiograph's header holds.
_MAX_READS = 100_000
_OWN_SYNTAXES = frozenset({JPEGLossless, JPEGLosslessSV1})
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}


def read_dicom(
    data: bytes, *, max_bytes: int, max_pixels: int
) -> tuple[npt.NDArray[np.uint8], int, DicomHeader]:
    """Decode a DICOM file, with or without a preamble.

    Returns:
        Grey (height, width), higher is whiter, the bits stored, and the header.

    Raises:
        FilmError: no_pixels, wrong_modality, animated, too_many_pixels, too_small, too_large
            (a deflated file that swells), truncated, unsupported or corrupt.
    """
    dataset = _parse(data, max_bytes + 2 * max_pixels)
    header = read_header(dataset)
    _check_kind(dataset, header)
    _check_pixels(dataset, max_pixels)
    stored, photometric = _decode(dataset)
    try:
        pixels = _shown(stored, photometric, dataset)
    except PYDICOM_ERRORS as error:  # a look-up table of the file that is none
        raise FilmError("corrupt", format="DICOM") from error
    return np.ascontiguousarray(pixels), integer(dataset, "BitsStored") or 8, header


class _MeteredStream(io.BytesIO):
    """Bytes that may be read in so many pieces only, and that remember if one was cut short.

    pydicom spends microseconds and a hundred bytes of memory on every element and item, and a
    hostile file holds millions of them, nested where no callback of its reader sees them.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = _MAX_READS
        self.ran_out = False

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise FilmError("corrupt", format="DICOM")
        piece = super().read(size)
        self.ran_out |= size is not None and 0 < len(piece) < size
        return piece


def _parse(data: bytes, max_inflated: int) -> Dataset:
    """The whole data set, with its file meta information, pixels still compressed."""
    try:
        stream = _MeteredStream(data)
        if data[128:132] == b"DICM":
            stream.seek(132)
        meta = FileMetaDataset(read_dataset(stream, False, True, stop_when=_beyond_meta))
        syntax = meta.get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            stream = _MeteredStream(_inflated(data[stream.tell() :], max_inflated))
        if syntax is None:
            # Bytes 4 and 5 of an element are its type, or else its length.
            explicit = stream.read(6)[4:6].isupper()
            stream.seek(-6, io.SEEK_CUR)
            syntax = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
            meta.TransferSyntaxUID = syntax
        # Whatever is no native syntax is written as explicit little endian.
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        dataset = read_dataset(stream, implicit, little)
    except FilmError:
        raise
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error
    if stream.ran_out and "PixelData" not in dataset:
        raise FilmError("truncated", format="DICOM")
    dataset.file_meta = meta
    return dataset


def _beyond_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2


def _inflated(deflated: bytes, limit: int) -> bytes:
    """Inflate, but refuse a file that would swell beyond any film."""
    inflater, pieces, total = zlib.decompressobj(-zlib.MAX_WBITS), [], 0
    for start in range(0, len(deflated), 16_384):  # each may swell to 17 MB
        pieces.append(inflater.decompress(deflated[start : start + 16_384]))
        total += len(pieces[-1])
        if total > limit:
            size, most = round(total / 2**20, 1), round(limit / 2**20, 1)
            raise FilmError("too_large", megabytes=size, limit=most)
    if not inflater.eof:
        raise FilmError("truncated", format="DICOM")
    return b"".join(pieces)


def _check_kind(dataset: Dataset, header: DicomHeader) -> None:
    """Refuse what is no plain radiograph. A file that states no modality passes."""
    modality = _CLASS_MODALITIES.get(text(dataset, "SOPClassUID") or "") or header.modality
    if modality and modality not in ACCEPTED_MODALITIES:
        raise FilmError("wrong_modality", modality=modality)


def _check_pixels(dataset: Dataset, max_pixels: int) -> None:
    """Refuse by the header what cannot or must not be decoded."""
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise FilmError("unsupported", format="DICOM, float pixels")
        raise FilmError("no_pixels")
    if (integer(dataset, "NumberOfFrames") or 1) > 1:
        raise FilmError("animated", format="DICOM")
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    bits = integer(dataset, "BitsAllocated")
    samples = integer(dataset, "SamplesPerPixel") or 1
    if not rows or not columns or not bits or samples not in (1, 3):
        raise FilmError("corrupt", format="DICOM")
    check_size(columns, rows, max_pixels)
    if bits not in (1, 8, 16):
        raise FilmError("unsupported", format=f"DICOM, {bits} bits")
    dataset.SamplesPerPixel = samples
    syntax = _syntax(dataset)
    value = dataset.PixelData
    if not isinstance(value, bytes) or not value:
        raise FilmError("truncated", format="DICOM")
    if syntax.is_encapsulated:
        _check_codestream(dataset, value, columns, rows, samples)
    elif len(value) < rows * columns * samples * bits // 8:
        raise FilmError("truncated", format="DICOM")


def _syntax(dataset: Dataset) -> UID:
    """The transfer syntax, if pixels in it can be decoded."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax in _OWN_SYNTAXES:
        return syntax
    try:
        decodable = get_decoder(syntax).is_available
    except NotImplementedError:
        decodable = False
    deep = (integer(dataset, "BitsStored") or 8) > 8
    # The decoder of that syntax takes the 8-bit part of it alone.
    if not decodable or (syntax == JPEGExtended12Bit and deep):
        raise FilmError("unsupported", format=f"DICOM, {syntax.name}")
    return syntax


def _check_codestream(
    dataset: Dataset, value: bytes, columns: int, rows: int, samples: int
) -> None:
    """A compressed picture states its own size, and that is what a decoder reserves."""
    try:
        frame = next(generate_frames(value, number_of_frames=1))
    except StopIteration as error:
        raise FilmError("truncated", format="DICOM") from error
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error
    stated = _codestream_size(frame)
    if stated is not None and stated != (columns, rows, samples):
        raise FilmError("corrupt", format="DICOM")


def _codestream_size(frame: bytes) -> tuple[int, int, int] | None:
    """Columns, rows and samples by a JPEG, JPEG-LS or JPEG 2000 stream; None for others."""
    start = frame.find(b"\xff\x4f\xff\x51")
    if start >= 0 and (start == 0 or frame[4:8] == b"jP  "):
        if len(frame) < start + 42:
            return 0, 0, 0
        width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
        (samples,) = struct.unpack_from(">H", frame, start + 40)
        return width - left, height - top, samples
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in _JPEG_FRAME_MARKERS:
            height, width, samples = struct.unpack_from(">HHB", frame, at + 5)
            return width, height, samples
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return 0, 0, 0


def _decode(dataset: Dataset) -> tuple[npt.NDArray[Any], str]:
    """Stored values (rows, columns[, 3]) and what they mean after decompression."""
    if dataset.file_meta.TransferSyntaxUID in _OWN_SYNTAXES:
        return _decode_jpeg_lossless(dataset), text(dataset, "PhotometricInterpretation") or ""
    try:
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        # Raw: a luma plane is taken as it is, where pydicom would make float RGB of it.
        stored, properties = decoder.as_array(dataset, raw=True)
    except PYDICOM_ERRORS as error:
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise FilmError("truncated" if cut else "corrupt", format="DICOM") from error
    return stored, str(properties["photometric_interpretation"])


def _decode_jpeg_lossless(dataset: Dataset) -> npt.NDArray[Any]:
    try:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        stored = jpeg_lossless.decode(frame)
    except jpeg_lossless.UnsupportedStreamError as error:
        raise FilmError("unsupported", format="DICOM, JPEG Lossless") from error
    except jpeg_lossless.TruncatedStreamError as error:
        raise FilmError("truncated", format="DICOM") from error
    except jpeg_lossless.JpegLosslessError as error:
        raise FilmError("corrupt", format="DICOM") from error
    if integer(dataset, "PixelRepresentation") == 1:
        shift = 16 - (integer(dataset, "BitsStored") or 16)
        return (stored << shift).view(np.int16) >> shift
    return stored.astype(np.uint8) if integer(dataset, "BitsAllocated") == 8 else stored


def _shown(stored: npt.NDArray[Any], photometric: str, dataset: Dataset) -> npt.NDArray[np.uint8]:
    """8-bit grey of stored values."""
    if stored.ndim == 3:
        if stored.dtype != np.uint8:
            shift = max(0, (integer(dataset, "BitsStored") or 16) - 8)
            stored = (stored >> shift).astype(np.uint8)
        if photometric.startswith("YBR"):
            return stored[..., 0]
        return grey.luma(stored)
    domain = _domain(stored.dtype)
    index = stored.view(f"u{stored.dtype.itemsize}")
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(domain, dataset)
        deep = colours.dtype != np.uint8
        table = grey.luma((colours >> 8 if deep else colours).astype(np.uint8)[np.newaxis])[0]
    else:
        table = _tone_table(domain, index, dataset)
    return grey.looked_up(table, index)


def _domain(dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Every value of an integer type, in the order of its bits read as unsigned."""
    size = 2 ** (8 * dtype.itemsize)
    return np.arange(size, dtype=f"u{dtype.itemsize}").view(dtype)


def _tone_table(
    domain: npt.NDArray[Any], index: npt.NDArray[Any], dataset: Dataset
) -> npt.NDArray[np.uint8]:
    """The grey in which each value that could be stored is shown."""
    levels = _modality_levels(domain, dataset)
    padding = _padding(domain, dataset)
    sample = grey.thinned(index)
    sample = sample[~padding[sample]]
    table = _windowed(levels, dataset)
    # A window that shows nothing of this film is a wrong window.
    if table is None or (sample.size and np.ptp(table[sample]) < 2):
        table = _spread(levels, domain, sample, dataset)
    if _is_inverted(dataset):
        table = ~table
    table[padding] = 0
    return table


def _modality_levels(domain: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.float64]:
    """Stored values in the modality's units."""
    if dataset.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(domain, dataset), np.float64)
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    return domain.astype(np.float64) * (slope or 1.0) + (intercept or 0.0)


def _windowed(levels: npt.NDArray[np.float64], dataset: Dataset) -> npt.NDArray[np.uint8] | None:
    """Levels through the VOI LUT or the first window (PS3.3 C.11.2); None where there is none."""
    if dataset.get("VOILUTSequence"):
        shades = apply_voi(np.rint(levels).astype(np.int64), dataset, index=0)
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return grey.spread(shades, 0, 2**bits - 1)
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    if centre is None or width is None or width < 1:
        return None
    function = text(dataset, "VOILUTFunction") or "LINEAR"
    if function == "SIGMOID":
        slope = np.clip(-4 * (levels - centre) / width, -60, 60)
        return grey.spread(1 / (1 + np.exp(slope)), 0, 1)
    if function == "LINEAR_EXACT":
        return grey.spread(levels, centre - width / 2, centre + width / 2)
    # LINEAR counts the levels in the window, so its ends lie width - 1 apart.
    half = max(width - 1, 1e-6) / 2
    return grey.spread(levels, centre - 0.5 - half, centre - 0.5 + half)


def _spread(
    levels: npt.NDArray[np.float64],
    domain: npt.NDArray[Any],
    sample: npt.NDArray[Any],
    dataset: Dataset,
) -> npt.NDArray[np.uint8]:
    """Levels over the range stored, or over the range used, where no window says."""
    bits = min(integer(dataset, "BitsStored") or 16, 8 * domain.dtype.itemsize)
    bottom = -(2 ** (bits - 1)) if domain.dtype.kind == "i" else 0
    ends = levels[np.isin(domain, (bottom, bottom + 2**bits - 1))]
    low, high = float(ends.min()), float(ends.max())
    if bits > 8 and sample.size:
        low, high = grey.used_range(levels[sample], low, high)
    return grey.spread(levels, low, high)


def _padding(domain: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Which stored values stand for no picture."""
    first = integer(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(domain.shape, np.bool_)
    last = integer(dataset, "PixelPaddingRangeLimit")
    last = first if last is None else last
    return (domain >= min(first, last)) & (domain <= max(first, last))


def _is_inverted(dataset: Dataset) -> bool:
    """Whether low levels are white.

    A radiograph for presentation says so twice, MONOCHROME1 and INVERSE: that is one inversion.
    """
    shape = text(dataset, "PresentationLUTShape")
    return text(dataset, "PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"
