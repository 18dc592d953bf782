"""A film's data set as it leaves the site: under the patient whom its doctor confirmed.

What the doctor corrected on the reading is corrected in the copy that leaves, and the file's own
values are kept in Original Attributes Sequence (PS3.3, C.12.1), as IHE Patient Information
Reconciliation does in archives. A header that the doctor disowned belongs to somebody else or to
nobody: of it, only what describes the image leaves, under UIDs made for the reading.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable, Iterator

from django.utils import timezone
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import SecondaryCaptureImageStorage

from diagnosis.models import Reading
from diagnosis.services.patients import PatientDetails, differences, stated_in
from exchange import uids
from exchange.dicomweb.names import joined, typed_name
from mlcore.engine.films.dicom.names import charset_labels
from mlcore.engine.films.dicom.patient import read_header
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, text

SYSTEM = "xraysite"
# What the doctor disowned is dropped but for these elements, and numbers and codes of the groups
# below: how the image was taken, its pixels, and how they are shown.
_KEPT = frozenset(
    Tag(keyword)
    for keyword in (
        "ImageType", "SOPClassUID", "Modality", "ConversionType", "PresentationIntentType",
        "Manufacturer", "ManufacturerModelName", "PatientOrientation", "Laterality",
        "ImageLaterality", "PresentationLUTShape", "RescaleType", "WindowCenterWidthExplanation",
        "LUTExplanation", "ModalityLUTType",
    )
)  # fmt: skip
_KEPT_GROUPS = frozenset({0x0018, 0x0028, 0x2050, 0x7FE0})
_NUMBERS_AND_CODES = frozenset(
    {"AT", "CS", "DS", "FD", "FL", "IS", "OB", "OB or OW", "OW", "SL", "SQ", "SS", "UL", "US",
     "US or SS", "US or OW"}
)  # fmt: skip
# Character sets that have every character.
_UNICODE = frozenset({"ISO_IR 192", "GB18030"})
_UIDS = {
    "StudyInstanceUID": uids.study_uid,
    "SeriesInstanceUID": uids.series_uid,
    "SOPInstanceUID": uids.instance_uid,
}


def corrected(dataset: Dataset, reading: Reading) -> bool:
    """Correct a data set in place as the doctor did on the reading.

    Returns:
        Whether anything was changed. If not, the file itself may leave as it is.
    """
    if reading.header_disowned:
        _strip(dataset)
        _set_all(dataset, reading)
        return True
    changes = dict(_changes(dataset, reading))
    if not changes:
        return False
    before = Dataset()
    for keyword in changes:
        if keyword in dataset:
            before[keyword] = copy.deepcopy(dataset[keyword])
    _make_encodable(dataset, changes.values())
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    _keep_original(dataset, before, reading.updated_at)
    _follow_in_meta(dataset)
    return True


def _changes(dataset: Dataset, reading: Reading) -> Iterator[tuple[str, str]]:
    """Yield the elements whose value is to be another one."""
    stated = stated_in(read_header(dataset))
    details = details_of(reading)
    differing = {each.field for each in differences(stated, details)}
    elements = patient_elements(reading)
    for field, keyword in _ELEMENTS.items():
        is_missing = field not in stated and elements[keyword]
        if (field in differing or is_missing) and keyword in elements:
            yield keyword, elements[keyword]
    for keyword, uid_of in _UIDS.items():
        if text(dataset, keyword) != (uid := uid_of(reading)):
            yield keyword, uid
    if not text(dataset, "SOPClassUID"):
        yield "SOPClassUID", reading.film_sop_class_uid or str(SecondaryCaptureImageStorage)


_ELEMENTS = {
    "patient_name": "PatientName",
    "patient_number": "PatientID",
    "patient_sex": "PatientSex",
    "patient_birth_date": "PatientBirthDate",
    "patient_age_years": "PatientAge",
    "exam_date": "StudyDate",
}


def details_of(reading: Reading) -> PatientDetails:
    """Return what the reading states about patient and exam."""
    return PatientDetails(
        name=reading.patient_name,
        age_years=reading.patient_age_years,
        exam_date=reading.exam_date,
        number=reading.patient_number,
        birth_date=reading.patient_birth_date,
        sex=reading.patient_sex,
    )


def patient_elements(reading: Reading) -> dict[str, str]:
    """Return what the reading states about patient and exam, by keyword of DICOM."""
    birth = reading.patient_birth_date
    return {
        "PatientName": joined(typed_name(reading.patient_name)),
        "PatientID": reading.patient_number,
        "PatientSex": reading.patient_sex,
        "PatientBirthDate": f"{birth:%Y%m%d}" if birth else "",
        "PatientAge": f"{reading.patient_age_years:03d}Y",
        "StudyDate": f"{reading.exam_date:%Y%m%d}",
    }


def set_all(dataset: Dataset, reading: Reading) -> None:
    """Set patient, exam and UIDs of a data set that has none."""
    for keyword, value in patient_elements(reading).items():
        setattr(dataset, keyword, value)
    for keyword, uid_of in _UIDS.items():
        setattr(dataset, keyword, uid_of(reading))
    for keyword in ("StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"):
        setattr(dataset, keyword, "")


def _set_all(dataset: Dataset, reading: Reading) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    set_all(dataset, reading)
    if not text(dataset, "SOPClassUID"):
        dataset.SOPClassUID = SecondaryCaptureImageStorage
    if not text(dataset, "Modality"):
        dataset.Modality = "OT"
    dataset.SeriesNumber, dataset.InstanceNumber = None, "1"
    dataset.SeriesDescription = "Header replaced: it was not this patient's"
    _follow_in_meta(dataset)


def _strip(dataset: Dataset) -> None:
    """Remove everything but the image and how it was taken."""
    _strip_elements(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax


def _strip_elements(dataset: Dataset) -> None:
    for tag in list(dataset.keys()):
        if not is_impersonal(tag):
            del dataset[tag]
            continue
        element = dataset[tag]
        if tag not in _KEPT and element.VR not in _NUMBERS_AND_CODES:
            del dataset[tag]
        elif element.VR == "SQ":
            for item in element.value:
                _strip_elements(item)


def is_impersonal(tag: BaseTag) -> bool:
    """Return whether an element may describe the image, whoever the patient is."""
    return not tag.is_private and (tag in _KEPT or tag.group in _KEPT_GROUPS)


def _make_encodable(dataset: Dataset, values: Iterable[str]) -> None:
    """Switch to UTF-8 if the file's character set may lack a character."""
    labels = charset_labels(dataset)
    if not all(value.isascii() for value in values) and not _UNICODE & set(labels):
        dataset.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"


def _keep_original(dataset: Dataset, before: Dataset, when: datetime.datetime) -> None:
    """Add what an earlier value was to Original Attributes Sequence."""
    item = Dataset()
    item.SourceOfPreviousValues = ""
    item.AttributeModificationDateTime = timezone.localtime(when).strftime("%Y%m%d%H%M%S.%f%z")
    item.ModifyingSystem = SYSTEM
    item.ReasonForTheAttributeModification = "CORRECT"
    item.ModifiedAttributesSequence = Sequence([before])
    try:
        earlier = list(dataset.get("OriginalAttributesSequence") or [])
    except PYDICOM_ERRORS:
        earlier = []
    dataset.OriginalAttributesSequence = Sequence([*earlier, item])


def _follow_in_meta(dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
