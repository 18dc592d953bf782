"""The report as an encapsulated PDF."""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage

from exchange.outgoing import codes as ours
from exchange.outgoing.objects.context import Context, Kind
from exchange.outgoing.objects.header import put

# Attributes of patient and study that every object repeats.
REPEATED = (
    "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyInstanceUID", "StudyID",
)  # fmt: skip


def encapsulated_pdf(context: Context, pdf: bytes) -> Dataset:
    """Return the report's PDF as a DICOM object (PS3.3 A.45.1); highdicom has no class for it."""
    made = Dataset()
    for keyword in REPEATED:
        if keyword in context.header:
            put(made, keyword, context.header[keyword].value)
    made.SOPClassUID = EncapsulatedPDFStorage
    for name, value in context.series(Kind.DOCUMENT).items():
        put(made, _KEYWORDS[name], value)
    made.Modality = "DOC"
    made.ConversionType = "WSD"
    # Its pages show the patient's name.
    made.BurnedInAnnotation = "YES"
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"):
        put(made, keyword, "")
    made.AcquisitionDateTime = ""
    made.DocumentTitle = context.texts["en"].title
    made.ConceptNameCodeSequence = Sequence([ours.REPORT])
    made.VerificationFlag = "VERIFIED" if context.opinions else "UNVERIFIED"
    made.SourceInstanceSequence = Sequence([_source(context)])
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return made


_KEYWORDS = {
    "series_instance_uid": "SeriesInstanceUID",
    "series_number": "SeriesNumber",
    "sop_instance_uid": "SOPInstanceUID",
    "instance_number": "InstanceNumber",
    "manufacturer": "Manufacturer",
    "series_description": "SeriesDescription",
    "manufacturer_model_name": "ManufacturerModelName",
    "device_serial_number": "DeviceSerialNumber",
    "software_versions": "SoftwareVersions",
}


def _source(context: Context) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = context.header.SOPClassUID
    item.ReferencedSOPInstanceUID = context.header.SOPInstanceUID
    return item
