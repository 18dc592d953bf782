"""Machines for tests: X-rays as modalities send them, and a listener that receives them."""

import io
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from exchange.incoming import receiving
from exchange.incoming.models import Arrival
from tests.films import encode_dicom, synthetic_film

AE = "VAN1"


def film(seed: int = 1, *, size: int = 200, **header: Any) -> bytes:
    """Return an X-ray as a DICOM file, of its own instance unless one is given."""
    stated = {
        "patient_name": "Chen^Mei", "patient_id": "D77", "age": "004Y", "study_date": "20260105",
        "SOPInstanceUID": f"1.2.3.{seed}", "SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2",
        "StationName": "ROOM1", "InstitutionName": "Hospital",
    }  # fmt: skip
    pixels = synthetic_film("NORMAL", seed=seed, size=size)
    return encode_dicom(pixels, **(stated | header))


def data_set(content: bytes) -> Dataset:
    """Return the data set of a DICOM file."""
    return pydicom.dcmread(io.BytesIO(content))


def sent(content: bytes, *, calling_ae: str = AE) -> receiving.Sent:
    """Return a DICOM file as the listener gets it."""
    stream = io.BytesIO(content)
    read = pydicom.dcmread(stream, stop_before_pixels=True)
    meta_end = 144 + read.file_meta.FileMetaInformationGroupLength
    return receiving.Sent(
        calling_ae=calling_ae,
        address="192.0.2.7",
        sop_class_uid=str(read.SOPClassUID),
        sop_instance_uid=str(read.SOPInstanceUID),
        transfer_syntax=str(read.file_meta.TransferSyntaxUID),
        data_set=content[meta_end:],
    )


def arrive(content: bytes, *, calling_ae: str = AE) -> Arrival:
    """Store an X-ray as the listener does."""
    return receiving.store(sent(content, calling_ae=calling_ae))
