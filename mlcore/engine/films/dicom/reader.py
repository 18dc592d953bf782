"""Reading of DICOM files: bounded parsing, rejection of other modalities, decoding to grey.

`patient` reads the header, `pixels` decodes the image, `tone` converts it to grey.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib

import numpy as np
import numpy.typing as npt
import pydicom.config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mlcore.engine.films.dicom.patient import read_header
from mlcore.engine.films.dicom.pixels import check_syntax, decode
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, integer, text
from mlcore.engine.films.dicom.tone import shown
from mlcore.engine.films.errors import FilmError, check_size
from mlcore.engine.films.header import DicomHeader

# pydicom logs unusual values, which may be a patient's name, and a traceback for each bad file.
# Keep both out of the logs: values are checked here, and every failure is a FilmError.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")

# Plain radiographs: computed, digital (some manufacturers write DR), digitised film, radiographs
# from a fluoroscopy unit, and secondary captures, whose content the scope gate checks.
ACCEPTED_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR", "RF", "SC", "OT"})
# The SOP class is more reliable than the modality.
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
# About 30,000 elements, far more than the header of any radiograph.
_MAX_READS = 100_000


def read_dicom(
    data: bytes, *, max_bytes: int, max_pixels: int
) -> tuple[npt.NDArray[np.uint8], int, DicomHeader]:
    """Decode a DICOM file, with or without a preamble.

    Returns:
        uint8 pixels (height, width), higher is whiter; the bits stored; and the header.

    Raises:
        FilmError: no_pixels, wrong_modality, animated, too_many_pixels, too_small, too_large
            (a deflated file that expands too much), truncated, unsupported or corrupt.
    """
    dataset = _parse(data, max_bytes + 2 * max_pixels)
    header = read_header(dataset)
    _check_kind(dataset, header)
    _check_pixels(dataset, max_pixels)
    stored, photometric = decode(dataset)
    pixels = shown(stored, photometric, dataset)
    return pixels, integer(dataset, "BitsStored") or 8, header


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


def _parse(data: bytes, max_inflated: int) -> Dataset:
    """Parse the data set with its file meta information; pixels stay compressed."""
    try:
        stream = _MeteredStream(data)
        if data[128:132] == b"DICM":
            stream.seek(132)
        meta = FileMetaDataset(read_dataset(stream, False, True, stop_when=_beyond_meta))
        syntax = meta.get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            stream = _MeteredStream(_inflated(data[stream.tell() :], max_inflated))
        if syntax is None:
            # Bytes 4 and 5 of an element are its VR if it is explicit, otherwise its length.
            explicit = stream.read(6)[4:6].isupper()
            stream.seek(-6, io.SEEK_CUR)
            syntax = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
            meta.TransferSyntaxUID = syntax
        # Every other transfer syntax is encoded as explicit little endian.
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


def _check_kind(dataset: Dataset, header: DicomHeader) -> None:
    """Refuse other modalities than plain radiographs. Files without a modality pass."""
    modality = _CLASS_MODALITIES.get(text(dataset, "SOPClassUID") or "") or header.modality
    if modality and modality not in ACCEPTED_MODALITIES:
        raise FilmError("wrong_modality", modality=modality)


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
