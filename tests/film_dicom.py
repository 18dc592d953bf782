"""DICOM files for the tests; import these through :mod:`tests.films`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom.uid
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from tests.film_jpeg_lossless import encode_jpeg_lossless

# Short names of common transfer syntaxes; any other UID can be given in full.
SYNTAXES: dict[str, pydicom.uid.UID] = {
    "implicit": pydicom.uid.ImplicitVRLittleEndian,
    "explicit": pydicom.uid.ExplicitVRLittleEndian,
    "big_endian": pydicom.uid.ExplicitVRBigEndian,
    "deflated": pydicom.uid.DeflatedExplicitVRLittleEndian,
    "jpeg": pydicom.uid.JPEGBaseline8Bit,
    "jpeg2000": pydicom.uid.JPEG2000Lossless,
    "jpegls": pydicom.uid.JPEGLSLossless,
    "rle": pydicom.uid.RLELossless,
    "jpeg_lossless": pydicom.uid.JPEGLosslessSV1,
}
_SOP_CLASSES = {
    "CR": pydicom.uid.ComputedRadiographyImageStorage,
    "CT": pydicom.uid.CTImageStorage,
    "MR": pydicom.uid.MRImageStorage,
}


def encode_dicom(
    pixels: npt.NDArray[np.uint8],
    *,
    photometric: str = "MONOCHROME2",
    modality: str | None = "DX",
    transfer_syntax: str = "explicit",
    patient_name: str | None = "Doe^Jane",
    patient_id: str | None = "A123",
    age: str | None = "003Y",
    birth_date: str | None = None,
    study_date: str | None = "20260102",
    view_position: str | None = "PA",
    body_part: str | None = "CHEST",
    character_set: str | None = "ISO_IR 192",
    bits: int = 8,
    window: tuple[float, float] | None = None,
    rescale: tuple[float, float] | None = None,
    frames: int = 1,
    preamble: bool = True,
    pixel_data: bool = True,
    **elements: Any,
) -> bytes:
    """A DICOM file that shows `pixels`.

    Args:
        pixels: uint8 (height, width), higher is whiter.
        photometric: MONOCHROME1 stores the film inverted, RGB and YBR_FULL store three planes.
        transfer_syntax: a key of SYNTAXES, or a UID; "jpeg" takes 8 bits only and loses some;
            "jpeg_lossless" takes grey only.
        bits: bits stored, 8, 12 or 16; 0 to 255 is spread over the whole range.
        window: centre and width, in units after `rescale`.
        rescale: slope and intercept.
        frames: number of times the film is repeated.
        preamble: False leaves out the 128 bytes, the DICM mark and the file meta header.
        pixel_data: False omits the pixel data, as in a structured report.
        elements: further elements by keyword; None removes one.
    """
    syntax = pydicom.uid.UID(SYNTAXES.get(transfer_syntax, transfer_syntax))
    dataset = _header(modality, character_set)
    _set(dataset, PatientName=patient_name, PatientID=patient_id, PatientAge=age)
    _set(dataset, PatientBirthDate=birth_date, StudyDate=study_date)
    _set(dataset, ViewPosition=view_position, BodyPartExamined=body_part)
    if window:
        dataset.WindowCenter, dataset.WindowWidth = window
    if rescale:
        dataset.RescaleSlope, dataset.RescaleIntercept = rescale
    if frames > 1:
        dataset.NumberOfFrames = frames
    if pixel_data:
        _add_pixels(dataset, _stored(pixels, photometric, bits, frames), photometric, bits, syntax)
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return _written(dataset, preamble)


def edited_dicom(
    pixels: npt.NDArray[np.uint8], change: Callable[[Dataset], object], **options: Any
) -> bytes:
    """Encode a film after `change` has modified the data set."""
    dataset = pydicom.dcmread(io.BytesIO(encode_dicom(pixels, **options)))
    change(dataset)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def _header(modality: str | None, character_set: str | None) -> Dataset:
    dataset = Dataset()
    # Names must be encoded in the character set that the file declares.
    _set(dataset, SpecificCharacterSet=character_set, Modality=modality)
    sop_class = _SOP_CLASSES.get(modality or "", pydicom.uid.DigitalXRayImageStorageForPresentation)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["xraysite tests"])
    dataset.StudyInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["xraysite study"])
    return dataset


def _set(dataset: Dataset, **elements: Any) -> None:
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)


def _stored(
    pixels: npt.NDArray[np.uint8], photometric: str, bits: int, frames: int
) -> npt.NDArray[Any]:
    """The film as stored values: (height, width), with 3 samples, or with frames first."""
    top = 2**bits - 1
    stored: npt.NDArray[Any] = np.rint(pixels.astype(np.float64) * top / 255)
    stored = stored.astype(np.uint8 if bits == 8 else np.uint16)
    if photometric == "MONOCHROME1":
        stored = top - stored
    elif photometric == "RGB":
        stored = np.stack([stored] * 3, axis=-1)
    elif photometric.startswith("YBR"):
        chroma = np.full_like(stored, 2 ** (bits - 1))
        stored = np.stack([stored, chroma, chroma], axis=-1)
    return np.stack([stored] * frames) if frames > 1 else stored


def _add_pixels(
    dataset: Dataset,
    stored: npt.NDArray[Any],
    photometric: str,
    bits: int,
    syntax: pydicom.uid.UID,
) -> None:
    colour = not photometric.startswith("MONOCHROME")
    frames = int(getattr(dataset, "NumberOfFrames", 1))
    shape = stored.shape[1:] if frames > 1 else stored.shape
    dataset.Rows, dataset.Columns = shape[:2]
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    pages = stored if frames > 1 else stored[np.newaxis]
    if syntax in (pydicom.uid.JPEGBaseline8Bit, pydicom.uid.JPEGExtended12Bit):
        mode = "YCbCr" if photometric.startswith("YBR") else None
        dataset.PixelData = encapsulate([_jpeg(page, mode) for page in pages])
    elif syntax in (pydicom.uid.JPEGLossless, pydicom.uid.JPEGLosslessSV1):
        streams = [encode_jpeg_lossless(page, precision=bits) for page in pages]
        dataset.PixelData = encapsulate(streams)
    elif syntax.is_compressed and not syntax.is_deflated:
        dataset.compress(syntax, stored, generate_instance_uid=False)
    else:
        order = stored.dtype.newbyteorder("<" if syntax.is_little_endian else ">")
        raw = stored.astype(order).tobytes()
        dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 or syntax.is_encapsulated else "OW"


def _jpeg(page: npt.NDArray[np.uint8], mode: str | None) -> bytes:
    buffer = io.BytesIO()
    image = Image.frombytes(mode, page.shape[1::-1], page.tobytes()) if mode else None
    (image or Image.fromarray(page)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _written(dataset: Dataset, preamble: bool) -> bytes:
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    if "TransferSyntaxUID" not in meta:
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    syntax = meta.TransferSyntaxUID
    buffer = io.BytesIO()
    if preamble:
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta = meta
        dataset.save_as(buffer, enforce_file_format=True)
    else:
        del dataset.file_meta
        little, implicit = syntax.is_little_endian, syntax.is_implicit_VR
        dataset.save_as(buffer, little_endian=little, implicit_vr=implicit)
    return buffer.getvalue()
