"""Films that came as JPEG, PNG or another picture, as DICOM Secondary Captures (PS3.3, A.8.1).

The picture is the film as pages show it: upright, 8 bits, higher is whiter. The object states that
it was converted, and from what, so that nobody takes it for what an X-ray machine wrote.
"""

from __future__ import annotations

from django.utils import timezone
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from diagnosis.models import Reading
from exchange.dicomweb import corrections
from mlcore.engine.films.film import Film

SERIES = "Chest X-ray converted from {format}"
LOSSY = {"JPEG", "WEBP"}


def capture_of(reading: Reading, film: Film | None = None) -> Dataset:
    """Return a reading's film as a Secondary Capture; the same each time.

    Args:
        reading: a reading of a film that is no DICOM file.
        film: the decoded film; None to leave out the pixels.
    """
    capture = Dataset()
    capture.file_meta = FileMetaDataset()
    capture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    capture.SpecificCharacterSet = "ISO_IR 192"
    capture.SOPClassUID = SecondaryCaptureImageStorage
    corrections.set_all(capture, reading)
    made = timezone.localtime(reading.created_at)
    capture.Modality = "OT"
    capture.ConversionType = "WSD"
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.SecondaryCaptureDeviceManufacturer = corrections.SYSTEM
    capture.DateOfSecondaryCapture = made.strftime("%Y%m%d")
    capture.TimeOfSecondaryCapture = made.strftime("%H%M%S.%f")
    capture.TimezoneOffsetFromUTC = made.strftime("%z")
    capture.Manufacturer = ""
    capture.SeriesNumber, capture.InstanceNumber = 1, 1
    capture.SeriesDescription = SERIES.format(format=reading.film_format)
    capture.DerivationDescription = f"{SERIES.format(format=reading.film_format)}, to 8-bit grey"
    capture.BodyPartExamined = reading.film_body_part or "CHEST"
    capture.PatientOrientation = ""
    if reading.film_format in LOSSY:
        capture.LossyImageCompression = "01"
    _set_pixels(capture, reading, film)
    capture.file_meta.MediaStorageSOPClassUID = capture.SOPClassUID
    capture.file_meta.MediaStorageSOPInstanceUID = capture.SOPInstanceUID
    return capture


def _set_pixels(capture: Dataset, reading: Reading, film: Film | None) -> None:
    capture.Rows, capture.Columns = reading.film_height, reading.film_width
    capture.SamplesPerPixel, capture.PhotometricInterpretation = 1, "MONOCHROME2"
    capture.BitsAllocated, capture.BitsStored, capture.HighBit = 8, 8, 7
    capture.PixelRepresentation = 0
    content = b"" if film is None else film.pixels.tobytes()
    capture.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
