"""DICOM files: parsed within bounds, refused if no plain radiograph, decoded and shown as grey.

`dicom_header` reads the patient, `dicom_codec` the picture, `dicom_tone` gives it its grey.
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

# pydicom logs odd values, and those may be a patient's name, and a trace for each bad file: keep
# all that out of logs. Values are checked here, and every failure is a FilmError with its cause.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
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
    stored, photometric = decode(dataset)
    pixels = shown(stored, photometric, dataset)
    return pixels, integer(dataset, "BitsStored") or 8, header


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
    check_syntax(dataset)
    # Tidied, and written as what they are: decoders take these elements as they find them.
    for keyword, value in (
        *(("Rows", rows), ("Columns", columns)),
        *(("SamplesPerPixel", samples), ("BitsAllocated", bits)),
    ):
        dataset.add_new(keyword, "US", value)
