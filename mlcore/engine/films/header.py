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
        patient_id: the hospital's patient number.
        age_years: from PatientAge, otherwise from birth date and study date.
        study_date: StudyDate, otherwise AcquisitionDate.
        modality: as written, upper case: CR, DX, ...
        view_position: as written, upper case: PA, AP, LL, ...
        body_part: as written, upper case: CHEST, ...
    """

    patient_name: str | None = None
    patient_id: str | None = None
    age_years: float | None = None
    study_date: datetime.date | None = None
    modality: str | None = None
    view_position: str | None = None
    body_part: str | None = None
