"""Reading of DICOM files: bounded parsing, rejection of other modalities, decoding to grey.

`patient` reads the header, `pixels` decodes the image, `tone` converts it to 8-bit grey, and
`depth` prepares it for windowing.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom.config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mlcore.engine.films.dicom.depth import plane_of
from mlcore.engine.films.dicom.kinds import check_kind
from mlcore.engine.films.dicom.patient import read_header
from mlcore.engine.films.dicom.pixels import check_syntax, decode
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, integer, text
from mlcore.engine.films.dicom.tone import shown
from mlcore.engine.films.errors import FilmError, check_size
from mlcore.engine.films.header import DicomHeader
from mlcore.engine.films.plane import Plane

# pydicom logs unusual values, which may be a patient's name, and a traceback for each bad file.
# Keep both out of the logs: values are checked here, and every failure is a FilmError.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")

# About 30,000 elements, far more than the header of any radiograph.
_MAX_READS = 100_000


@dataclass(frozen=True)
class DecodedDicom:
    """A decoded DICOM film.

    Attributes:
        pixels: uint8 (height, width), higher is whiter.
        bits: BitsStored.
        photometric: PhotometricInterpretation, as the file states it.
        header: patient and view.
        notices: codes of `films.notices` about the image.
    """

    pixels: npt.NDArray[np.uint8]
    bits: int
    photometric: str
    header: DicomHeader
    notices: tuple[str, ...]


def read_dicom(data: bytes, *, max_bytes: int, max_pixels: int) -> DecodedDicom:
    """Decode a DICOM file, with or without a preamble.

    Raises:
        FilmError: no_pixels, not_an_xray, wrong_modality, for_processing, animated,
            too_many_pixels, too_small, aspect_ratio, too_large (a deflated file that expands too
            much), truncated, blank, jpeg_12_bit, unsupported or corrupt.
    """
    dataset, header = opened(data, max_bytes, max_pixels)
    stored, photometric = decode(dataset)
    pixels, notices = shown(stored, photometric, dataset)
    return DecodedDicom(
        pixels=pixels,
        bits=_bits(dataset),
        photometric=text(dataset, "PhotometricInterpretation") or "",
        header=header,
        notices=notices,
    )


def read_dicom_plane(data: bytes, *, max_bytes: int, max_pixels: int) -> Plane:
    """Decode a DICOM file at its stored depth.

    Raises:
        FilmError: as `read_dicom`.
    """
    dataset, _header = opened(data, max_bytes, max_pixels)
    stored, photometric = decode(dataset)
    return plane_of(stored, photometric, dataset, bits=_bits(dataset))


def opened(data: bytes, max_bytes: int, max_pixels: int) -> tuple[Dataset, DicomHeader]:
    """Return a data set that has been checked, and its header; its pixels stay compressed."""
    dataset = parse(data, max_bytes + 2 * max_pixels)
    header = read_header(dataset)
    check_kind(dataset, header.modality)
    _check_pixels(dataset, max_pixels)
    return dataset, header


def _bits(dataset: Dataset) -> int:
    return integer(dataset, "BitsStored") or integer(dataset, "BitsAllocated") or 8


class _MeteredStream(io.BytesIO):
    """A byte stream with a limited number of reads that remembers whether one was cut short.

    pydicom spends microseconds and about a hundred bytes on every element and item. A hostile file
    contains millions of them, nested where no callback of pydicom's reader sees them.
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


def parse(data: bytes, max_inflated: int, *, header_only: bool = False) -> Dataset:
    """Return the data set with its file meta information; pixels stay compressed.

    Args:
        data: the file, with or without a preamble.
        max_inflated: bytes to which a deflated file may expand.
        header_only: whether to stop before the pixels. The start of a file is enough then, if it
            contains all that precedes them and is not deflated.

    Raises:
        FilmError: too_large, truncated or corrupt.
    """
    try:
        stream = _MeteredStream(data)
        if data[128:132] == b"DICM":
            stream.seek(132)
        meta = FileMetaDataset(read_dataset(stream, False, True, stop_when=_beyond_meta))
        syntax = meta.get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            stream = _MeteredStream(_inflated(data[stream.tell() :], max_inflated))
        if syntax is None:
            syntax = meta.TransferSyntaxUID = _unstated_syntax(stream)
        # Every other transfer syntax is encoded as explicit little endian.
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        stop = _at_pixels if header_only else None
        dataset = read_dataset(stream, implicit, little, stop_when=stop)
    except FilmError:
        raise
    except PYDICOM_ERRORS as error:
        raise FilmError("corrupt", format="DICOM") from error
    if stream.ran_out and "PixelData" not in dataset:
        raise FilmError("truncated", format="DICOM")
    dataset.file_meta = meta
    return dataset


def without_meta(data: bytes) -> bytes:
    """Return the encoded data set of a file that `parse` accepts."""
    stream = _MeteredStream(data)
    if data[128:132] == b"DICM":
        stream.seek(132)
    read_dataset(stream, False, True, stop_when=_beyond_meta)
    return data[stream.tell() :]


def _unstated_syntax(stream: io.BytesIO) -> UID:
    """Return the transfer syntax of a data set without file meta information.

    Bytes 4 and 5 of an element are its VR if it is explicit, otherwise its length. The group
    number of the first elements is less than 256.
    """
    start = stream.read(6)
    stream.seek(-len(start), io.SEEK_CUR)
    if not start[4:6].isupper():
        return ImplicitVRLittleEndian
    return ExplicitVRBigEndian if start[:1] == b"\0" else ExplicitVRLittleEndian


def _beyond_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag >= 0x7FE00008


def _inflated(deflated: bytes, limit: int) -> bytes:
    """Inflate, but refuse a file that would expand beyond any film."""
    inflater, pieces, total = zlib.decompressobj(-zlib.MAX_WBITS), [], 0
    for start in range(0, len(deflated), 16_384):  # each may expand to 17 MB
        pieces.append(inflater.decompress(deflated[start : start + 16_384]))
        total += len(pieces[-1])
        if total > limit:
            size, most = round(total / 2**20, 1), round(limit / 2**20, 1)
            raise FilmError("too_large", megabytes=size, limit=most)
    if not inflater.eof:
        raise FilmError("truncated", format="DICOM")
    return b"".join(pieces)


def _check_pixels(dataset: Dataset, max_pixels: int) -> None:
    """Refuse, by the header, images that cannot or must not be decoded."""
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
    check_syntax(dataset)
    # Write the cleaned values back: decoders use these elements as they are.
    for keyword, value in (
        *(("Rows", rows), ("Columns", columns)),
        *(("SamplesPerPixel", samples), ("BitsAllocated", bits)),
    ):
        dataset.add_new(keyword, "US", value)
