"""What the header of a film states about patient and view."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass(frozen=True)
class DicomHeader:
    """What a DICOM file states about patient and view; None where nothing usable is stated.

    Attributes:
        patient_name: the ideographic name if there is one, otherwise the alphabetic one; family
            name first, components joined by spaces (not between Chinese or Japanese characters).
        other_names: the patient's name in the other scripts that the file gives.
        patient_id: the hospital's patient number.
        birth_date: the patient's date of birth.
        sex: "M", "F" or "O".
        age_years: from PatientAge, otherwise from birth date and study date.
        study_date: StudyDate, otherwise AcquisitionDate.
        modality: as written, upper case: CR, DX, ...
        view_position: as written, upper case: PA, AP, LL, ...
        body_part: as written, upper case: CHEST, ...
    """

    patient_name: str | None = None
    patient_id: str | None = None
    birth_date: datetime.date | None = None
    sex: str | None = None
    other_names: tuple[str, ...] = ()
    age_years: float | None = None
    study_date: datetime.date | None = None
    modality: str | None = None
    view_position: str | None = None
    body_part: str | None = None


def completed_years(birth: datetime.date, on: datetime.date) -> int:
    """Return the age in completed years on a day, by calendar."""
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
