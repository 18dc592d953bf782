"""Patient and view from a DICOM header; malformed values are skipped, never raised."""

from __future__ import annotations

import datetime
import re

from pydicom.dataset import Dataset

from mlcore.engine.films.dicom import names, views
from mlcore.engine.films.dicom.spacing import pixel_spacing
from mlcore.engine.films.dicom.tags import text, tidy
from mlcore.engine.films.header import DicomHeader, completed_years

_AGE = re.compile(r"(\d{1,3})\s*([DWMY]?)")
_DATE = re.compile(r"(\d{4})([.-]?)(\d\d)\2(\d\d)")
_UID = re.compile(r"\d+(\.\d+)+")
_MAX_UID = 64
_EXAM_DATES = ("StudyDate", "AcquisitionDate", "AcquisitionDateTime")
_UNIT_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
# Earlier dates are placeholders of anonymisation tools.
_FIRST_STUDY_YEAR = 1950
_FIRST_BIRTH_YEAR = 1850
_OLDEST_YEARS = 130
# Ages are rounded differently, and may be those of another visit of the same year.
_AGE_TOLERANCE_YEARS = 1.5


def read_header(dataset: Dataset) -> DicomHeader:
    """Return patient and view; None for each value that is missing or unusable."""
    notices: list[str] = []
    found = _patient_names(dataset, notices)
    exam = _exam_date(dataset, notices)
    birth = _birth_date(dataset, exam, notices)
    spacing = pixel_spacing(dataset)
    return DicomHeader(
        patient_name=found[0] if found else None,
        other_names=tuple(found[1:]),
        patient_id=_patient_id(dataset, notices),
        birth_date=birth,
        sex=_sex(dataset),
        age_years=_age_years(dataset, birth, exam, notices),
        study_date=exam,
        modality=_code(dataset, "Modality"),
        view_position=views.view(dataset),
        body_part=views.body_part(dataset),
        pixel_spacing_mm=(spacing.row, spacing.column) if spacing else None,
        study_instance_uid=_uid(dataset, "StudyInstanceUID"),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID"),
        sop_instance_uid=_uid(dataset, "SOPInstanceUID"),
        sop_class_uid=_uid(dataset, "SOPClassUID"),
        accession_number=_text(dataset, "AccessionNumber"),
        station_name=_text(dataset, "StationName"),
        institution=_text(dataset, "InstitutionName"),
        charset=tidy("\\".join(names.charset_labels(dataset))),
        notices=tuple(notices),
    )


def _sex(dataset: Dataset) -> str | None:
    value = _code(dataset, "PatientSex")
    return value if value in ("M", "F", "O") else None


def _uid(dataset: Dataset, keyword: str) -> str | None:
    value = text(dataset, keyword) or ""
    return value if _UID.fullmatch(value) and len(value) <= _MAX_UID else None


def _text(dataset: Dataset, keyword: str) -> str | None:
    try:
        return tidy(names.text_of(dataset, keyword))
    except names.UndecodableError:
        return None


def _code(dataset: Dataset, keyword: str) -> str | None:
    value = text(dataset, keyword)
    return value.upper() if value else None


def _patient_names(dataset: Dataset, notices: list[str]) -> list[str]:
    """Return the name in each script that the file gives: ideographic, alphabetic, phonetic."""
    try:
        return names.patient_names(dataset)
    except names.UndecodableError:
        notices.append("name_undecodable")
        return []


def _patient_id(dataset: Dataset, notices: list[str]) -> str | None:
    try:
        return tidy(names.text_of(dataset, "PatientID"))
    except names.UndecodableError:
        notices.append("patient_id_undecodable")
        return None


def _exam_date(dataset: Dataset, notices: list[str]) -> datetime.date | None:
    """Return the first valid date of the exam, unless it is in the future."""
    for keyword in _EXAM_DATES:
        date = _date(dataset, keyword, _FIRST_STUDY_YEAR)
        if date is not None:
            if date <= datetime.date.today():
                return date
            notices.append("exam_date_in_future")
            return None
    return None


def _birth_date(
    dataset: Dataset, exam: datetime.date | None, notices: list[str]
) -> datetime.date | None:
    birth = _date(dataset, "PatientBirthDate", _FIRST_BIRTH_YEAR)
    if birth is not None and birth > (exam or datetime.date.today()):
        notices.append("birth_date_implausible")
        return None
    return birth


def _age_years(
    dataset: Dataset,
    birth: datetime.date | None,
    exam: datetime.date | None,
    notices: list[str],
) -> float | None:
    """Return the age by birth date and exam date, otherwise by PatientAge.

    PatientAge is 004Y, 018M, 006W, 010D or 4. Nothing is returned if the two contradict each other.
    """
    stated, counted = _stated_age(dataset), None
    if birth is not None and exam is not None:
        counted = completed_years(birth, exam)
    if counted is None:
        return stated
    if counted > _OLDEST_YEARS or (
        stated is not None and abs(stated - counted) > _AGE_TOLERANCE_YEARS
    ):
        notices.append("age_contradicts_birth_date")
        return None
    return counted


def _stated_age(dataset: Dataset) -> float | None:
    match = _AGE.fullmatch((text(dataset, "PatientAge") or "").upper())
    if not match:
        return None
    years = int(match[1]) * _UNIT_YEARS[match[2]]
    return years if years <= _OLDEST_YEARS else None


def _date(dataset: Dataset, keyword: str, first_year: int) -> datetime.date | None:
    """Return the date of a DA element, or that of a DT element."""
    value = text(dataset, keyword) or ""
    match = _DATE.fullmatch(value[:8] if keyword.endswith("DateTime") else value)
    if not match:
        return None
    try:
        date = datetime.date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
    return date if date.year >= first_year else None
