"""What is kept of a DICOM file: a list of elements, and nothing else.

Stricter than the Basic Application Level Confidentiality Profile (PS3.15 annex E), which lists what
is removed and keeps the rest: an element that this list does not name is left out, whatever it is.
A test compares the list with the profile's table.
"""

from typing import Final

# Copied if the value is one of these: devices write names even where codes belong.
CODES: Final = {
    "Modality": {"CR", "DX", "RG", "OT", "SC"},
    "ConversionType": {"DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"},
    "PresentationIntentType": {"FOR PRESENTATION", "FOR PROCESSING"},
    "BodyPartExamined": {"CHEST", "THORAX", "LUNG", "RIB", "CHESTABDOMEN"},
    "ViewPosition": {"AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO"},
    "PatientOrientation": {"A", "P", "L", "R", "H", "F", "AF", "PF", "LF", "RF"},
    "ImageLaterality": {"R", "L", "U", "B"},
    "PhotometricInterpretation": {"MONOCHROME1", "MONOCHROME2"},
    "VOILUTFunction": {"LINEAR", "LINEAR_EXACT", "SIGMOID"},
    "RescaleType": {"US", "OD", "HU", "UNSPECIFIED"},
    "PresentationLUTShape": {"IDENTITY", "INVERSE"},
    "PixelIntensityRelationship": {"LIN", "LOG", "DISP"},
    "LossyImageCompression": {"00", "01"},
    "LossyImageCompressionMethod": {
        "ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_15", "ISO_13818_2",
    },
    "DetectorType": {"DIRECT", "SCINTILLATOR", "STORAGE", "FILM"},
}  # fmt: skip
# Copied if the values are numbers.
NUMBERS: Final = (
    "SamplesPerPixel", "Rows", "Columns", "PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing",
    "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
    "PixelIntensityRelationshipSign", "LossyImageCompressionRatio", "KVP", "ExposureTime",
    "XRayTubeCurrent", "Exposure", "DistanceSourceToDetector", "DistanceSourceToPatient",
)  # fmt: skip
# Copied if the standard defines the UID.
KINDS: Final = ("SOPClassUID",)
KEPT: Final = (*KINDS, *CODES, *NUMBERS)
# Written anew: from the reading, from the key, or empty because the image's definition wants them.
WRITTEN: Final = (
    "SpecificCharacterSet", "ImageType", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "StudyDate", "ContentDate", "AcquisitionDate", "StudyTime", "ContentTime", "AccessionNumber",
    "ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "StudyID", "SeriesNumber", "InstanceNumber", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "BurnedInAnnotation", "PatientIdentityRemoved",
    "LongitudinalTemporalInformationModified", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "PixelData", "PixelPaddingValue",
)  # fmt: skip
# CID 7050: the profile and its options.
METHODS: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113101", "Clean Pixel Data Option"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
# A file whose grey levels need these is written as a picture instead.
TABLES: Final = ("ModalityLUTSequence", "VOILUTSequence")
EDITION: Final = "DICOM PS3.15 2026c"
