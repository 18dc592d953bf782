"""What all objects get after highdicom has made them, and their encoding."""

import io

import pydicom.uid
from pydicom.dataset import Dataset, FileMetaDataset

from exchange.outgoing.objects.context import REPEATED, Context, Kind, uid_of
from exchange.outgoing.objects.header import UTF8, put

# Attributes with the time at which highdicom was called.
_CLOCKS = {
    "InstanceCreationDate": "%Y%m%d",
    "InstanceCreationTime": "%H%M%S",
    "ContentDate": "%Y%m%d",
    "ContentTime": "%H%M%S",
    "DateOfSecondaryCapture": "%Y%m%d",
    "TimeOfSecondaryCapture": "%H%M%S",
}


def finished(dataset: Dataset, context: Context, kind: Kind) -> Dataset:
    """Make an object depend on the result alone, so that it is the same each time it is made.

    Times become that of the result, random UIDs derived ones, and text is UTF-8.
    """
    for keyword, form in _CLOCKS.items():
        if keyword in dataset:
            put(dataset, keyword, context.at.strftime(form))
    dataset.SpecificCharacterSet = UTF8
    dataset.TimezoneOffsetFromUTC = context.header.TimezoneOffsetFromUTC
    for keyword in REPEATED:
        if keyword in context.header:
            put(dataset, keyword, context.header[keyword].value)
    # It names highdicom, at a time of its own.
    if "ContributingEquipmentSequence" in dataset:
        del dataset.ContributingEquipmentSequence
    if "DimensionOrganizationSequence" in dataset:
        organization = uid_of(context.reading, kind, context.version, "dimensions")
        dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
        for item in dataset.DimensionIndexSequence:
            item.DimensionOrganizationUID = organization
    return dataset


def encoded(dataset: Dataset) -> bytes:
    """Return an object as a DICOM file, explicit VR little endian unless it says otherwise."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    made = getattr(dataset, "file_meta", None) or FileMetaDataset()
    meta.TransferSyntaxUID = made.get("TransferSyntaxUID", pydicom.uid.ExplicitVRLittleEndian)
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
