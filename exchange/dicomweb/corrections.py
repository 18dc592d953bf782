"""A film's data set as it leaves the site: under the patient whom its doctor confirmed.

What the doctor corrected on the reading is corrected in the copy that leaves, and the file's own
values are kept in Original Attributes Sequence (PS3.3, C.12.1), as IHE Patient Information
Reconciliation does in archives. A header that the doctor disowned never leaves, see `objects`.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable, Iterator

from django.utils import timezone
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from diagnosis.models import Reading
from diagnosis.services.patients import PatientDetails, differences, stated_in
from exchange.dicomweb.names import joined, typed_name
from mlcore.engine.films.dicom.names import charset_labels
from mlcore.engine.films.dicom.patient import read_header
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS

SYSTEM = "xraysite"
# Character sets that have every character.
_UNICODE = frozenset({"ISO_IR 192", "GB18030"})


def corrected(dataset: Dataset, reading: Reading) -> bool:
    """Correct a data set in place as the doctor did on the reading.

    Returns:
        Whether anything was changed. If not, the file itself may leave as it is.
    """
    changes = dict(_changes(dataset, reading))
    if not changes:
        return False
    before = Dataset()
    for keyword in changes:
        if keyword in dataset:
            before[keyword] = copy.deepcopy(dataset[keyword])
    if any(keyword in before and not before[keyword].is_empty for keyword in _PERSON):
        _remove_identity(dataset, before)
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
        # Missing in the file, or removed by the doctor.
        is_one_sided = bool(elements[keyword]) != (field in stated)
        if field in differing or is_one_sided:
            yield keyword, elements[keyword]


def _remove_identity(dataset: Dataset, before: Dataset) -> None:
    """Remove what else names the person whom the file was about: systems link records by it."""
    for keyword in _IDENTITY:
        if keyword in dataset:
            before[keyword] = copy.deepcopy(dataset[keyword])
            del dataset[keyword]


_PERSON = ("PatientName", "PatientID")
_IDENTITY = (
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
    "OtherPatientIDs", "OtherPatientIDsSequence", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers",
    "PatientTelecomInformation", "PatientInsurancePlanCodeSequence", "MedicalRecordLocator",
    "ReferencedPatientPhotoSequence", "ReferencedPatientSequence", "AdmissionID",
)  # fmt: skip
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
