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
        birth_date: PatientBirthDate.
        sex: PatientSex: M, F or O.
        age_years: completed years from birth date and exam date if both are stated, otherwise
            PatientAge.
        study_date: the exam date: StudyDate, otherwise AcquisitionDate; never in the future.
        modality: as written, upper case: CR, DX, ...
        view_position: PA, AP, LL, RL, ... where the view is recognised, otherwise as written,
            upper case.
        body_part: CHEST where a chest is recognised, otherwise as written, upper case.
        pixel_spacing_mm: distance of rows and of columns in the patient (PixelSpacing) or on the
            detector (ImagerPixelSpacing), in millimetres.
        study_instance_uid: StudyInstanceUID.
        series_instance_uid: SeriesInstanceUID.
        sop_instance_uid: SOPInstanceUID.
        sop_class_uid: SOPClassUID.
        accession_number: AccessionNumber.
        station_name: StationName.
        institution: InstitutionName.
        charset: SpecificCharacterSet as written, values joined by backslashes.
        notices: codes of `mlcore.engine.films.notices` for values that cannot be trusted.
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
    pixel_spacing_mm: tuple[float, float] | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    accession_number: str | None = None
    station_name: str | None = None
    institution: str | None = None
    charset: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def ages_differ(self) -> bool:
        """Whether PatientAge contradicts the birth date, so that neither can be trusted."""
        return "age_contradicts_birth_date" in self.notices


def completed_years(birth: datetime.date, on: datetime.date) -> int | None:
    """Return the age in completed years by the calendar; None before the birth.

    A child turns six on its sixth birthday; one born on 29 February on 1 March in common years.

    Example:
        >>> completed_years(datetime.date(2020, 3, 1), datetime.date(2021, 3, 1))
        1
    """
    if on < birth:
        return None
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
