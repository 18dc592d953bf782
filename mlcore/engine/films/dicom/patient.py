"""Patient and view from a DICOM header; malformed values are skipped, never raised."""

from __future__ import annotations

import datetime
import re
import unicodedata

from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, first, text, tidy
from mlcore.engine.films.header import DicomHeader

_AGE = re.compile(r"(\d{1,3})\s*([DWMY]?)")
_DATE = re.compile(r"(\d{4})([.-]?)(\d\d)\2(\d\d)")
_UNIT_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
# Earlier dates are placeholders of anonymisation tools.
_FIRST_STUDY_YEAR = 1950
_OLDEST_YEARS = 130
# Encodings that hospitals in Taiwan use in files without a declared character set.
_UNDECLARED_ENCODINGS = ("utf-8", "cp950")


def read_header(dataset: Dataset) -> DicomHeader:
    """Return patient and view; None for each value that is missing or unusable."""
    names = _patient_names(dataset)
    return DicomHeader(
        patient_name=names[0] if names else None,
        other_names=tuple(names[1:]),
        patient_id=text(dataset, "PatientID"),
        birth_date=_date(dataset, "PatientBirthDate", 1850),
        sex=_sex(dataset),
        age_years=_age_years(dataset),
        study_date=_date(dataset, "StudyDate") or _date(dataset, "AcquisitionDate"),
        modality=_code(dataset, "Modality"),
        view_position=_code(dataset, "ViewPosition"),
        body_part=_code(dataset, "BodyPartExamined"),
    )


def _sex(dataset: Dataset) -> str | None:
    sex = _code(dataset, "PatientSex")
    return sex if sex in ("M", "F", "O") else None


def _code(dataset: Dataset, keyword: str) -> str | None:
    value = text(dataset, keyword)
    return value.upper() if value else None


def _patient_names(dataset: Dataset) -> list[str]:
    """Return the name in each script that the file gives: ideographic, alphabetic, phonetic."""
    name = _undeclared_name(dataset) or first(dataset, "PatientName")
    if not isinstance(name, PersonName):
        return []
    try:
        groups = (str(name.ideographic), str(name.alphabetic), str(name.phonetic))
    except PYDICOM_ERRORS:
        return []
    names = []
    for group in groups:
        components = [part for part in (tidy(c) for c in group.split("^")) if part]
        if components:
            unspaced = all(_is_han_or_kana(part) for part in components)
            names.append(("" if unspaced else " ").join(components))
    return names


def _undeclared_name(dataset: Dataset) -> PersonName | None:
    """Return a non-ASCII name from a file that declares no character set."""
    try:
        raw = dataset.get_item("PatientName")
        value = getattr(raw, "value", None)
        if text(dataset, "SpecificCharacterSet") or not isinstance(value, bytes):
            return None
    except PYDICOM_ERRORS:
        return None
    if value.isascii():
        return None
    for encoding in _UNDECLARED_ENCODINGS:
        try:
            return PersonName(value.decode(encoding))
        except UnicodeDecodeError:
            continue
    return None


def _is_han_or_kana(part: str) -> bool:
    return all(unicodedata.name(c, "").startswith(("CJK", "HIRAGANA", "KATAKANA")) for c in part)


def _age_years(dataset: Dataset) -> float | None:
    """Return the age from PatientAge (004Y, 018M, 006W, 010D or 4) or from the dates."""
    match = _AGE.fullmatch((text(dataset, "PatientAge") or "").upper())
    if match:
        years = int(match[1]) * _UNIT_YEARS[match[2]]
        return years if years <= _OLDEST_YEARS else None
    birth, study = _date(dataset, "PatientBirthDate", 1850), _date(dataset, "StudyDate")
    if birth is None or study is None:
        return None
    years = (study - birth).days / 365.25
    return years if 0 <= years <= _OLDEST_YEARS else None


def _date(
    dataset: Dataset, keyword: str, first_year: int = _FIRST_STUDY_YEAR
) -> datetime.date | None:
    match = _DATE.fullmatch(text(dataset, keyword) or "")
    if not match:
        return None
    try:
        date = datetime.date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
    return date if date.year >= first_year else None
