"""A patient's details: as a doctor enters them, as a file states them, and where these differ."""

import datetime
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from diagnosis.search import folded, number_key
from mlcore.engine.films.header import DicomHeader, completed_years

# Attribute of `PatientDetails` by field of the form and of `Reading`, in the order of the form.
FIELDS = {
    "patient_name": "name",
    "patient_number": "number",
    "patient_sex": "sex",
    "patient_birth_date": "birth_date",
    "patient_age_years": "age_years",
    "exam_date": "exam_date",
}
# What else a file states, for the study: further keys of `StatedPatient`.
STUDY_UID = "study_instance_uid"
ACCESSION_NUMBER = "accession_number"
DATES = {"patient_birth_date", "exam_date"}
AGE = "patient_age_years"

# What a file states: by field of FIELDS, JSON values; dates as 2026-01-31, the age may be a
# fraction. "other_names" has the patient's names in other scripts. Nothing stated, no key.
StatedPatient = dict[str, Any]


@dataclass(frozen=True)
class PatientDetails:
    """What a doctor enters about the patient and the exam.

    Attributes:
        name: the patient's name, at most 120 characters.
        age_years: age at the exam in completed years, 0 to 130.
        exam_date: date of the exam.
        number: the hospital's patient number, at most 64 characters; may be empty.
        birth_date: the patient's date of birth, if known.
        sex: a `Sex`, or "" if unknown.
    """

    name: str
    age_years: int
    exam_date: datetime.date
    number: str = ""
    birth_date: datetime.date | None = None
    sex: str = ""

    def as_fields(self) -> dict[str, Any]:
        """Return the values by field of `Reading`."""
        return {field: getattr(self, attribute) for field, attribute in FIELDS.items()}


@dataclass(frozen=True)
class Difference:
    """A field in which the file's header and the form disagree.

    Attributes:
        field: a key of FIELDS.
        file: the header's value as text.
        form: the form's value as text.
    """

    field: str
    file: str
    form: str


def stated_in(header: DicomHeader | None) -> StatedPatient:
    """Return what a DICOM header states about patient and exam; empty for other files."""
    if header is None:
        return {}
    stated = {
        "patient_name": header.patient_name,
        "other_names": list(header.other_names),
        "patient_number": header.patient_id,
        "patient_sex": header.sex,
        "patient_birth_date": header.birth_date and header.birth_date.isoformat(),
        "patient_age_years": header.age_years,
        "exam_date": header.study_date and header.study_date.isoformat(),
        STUDY_UID: header.study_instance_uid,
        ACCESSION_NUMBER: header.accession_number,
    }
    return {field: value for field, value in stated.items() if value not in (None, "", [])}


def text_of(field: str, stated: StatedPatient) -> str:
    """Return a stated value as the form writes it, "" if it is not stated."""
    value = stated.get(field, "")
    return str(int(value)) if field == AGE and value != "" else str(value)


def value_of(field: str, text: str) -> Any:
    """Return the value of a field of `PatientDetails` from its text."""
    if field == AGE:
        return int(text)
    if field in DATES:
        return datetime.date.fromisoformat(text) if text else None
    return text


def with_birth_date(patient: PatientDetails, stated: StatedPatient) -> PatientDetails:
    """Return `patient` with the file's date of birth, if none is given and it fits the age."""
    birth = value_of("patient_birth_date", text_of("patient_birth_date", stated))
    if patient.birth_date is not None or birth is None:
        return patient
    fits = completed_years(birth, patient.exam_date) == patient.age_years
    return replace(patient, birth_date=birth) if fits else patient


def differences(stated: StatedPatient, patient: PatientDetails) -> list[Difference]:
    """Return the fields in which file and form disagree; an empty value disagrees with none."""
    found = []
    for field, value in patient.as_fields().items():
        file, form = text_of(field, stated), "" if value is None else str(value)
        if file and form and not _agree(field, file, form, stated):
            found.append(Difference(field, file, form))
    return found


def _agree(field: str, file: str, form: str, stated: StatedPatient) -> bool:
    if field == "patient_name":
        return any(is_same_name(name, form) for name in (file, *stated.get("other_names", [])))
    if field == "patient_number":
        return number_key(file) == number_key(form)
    return file == form


def is_same_name(one: str, other: str) -> bool:
    """Return whether two texts are the same name, written differently.

    Case, character width, spaces and punctuation are ignored, so "CHEN^WEI LUN", "Chen, Wei-Lun"
    and "Chen Wei Lun" are the same. The family name of an alphabetic name may also come last.
    """
    return bool(_name_keys(one) & _name_keys(other))


def names_of(name: str, stated: StatedPatient) -> list[str]:
    """Return a typed name, with the file's names in all scripts if it is one of them."""
    in_file = [
        text for text in (stated.get("patient_name"), *stated.get("other_names", [])) if text
    ]
    return [name, *in_file] if any(is_same_name(name, each) for each in in_file) else [name]


def _name_keys(name: str) -> set[str]:
    words = [
        word
        for part in folded(name).replace("^", " ").replace(",", " ").split()
        if (word := "".join(letter for letter in part if letter.isalnum()))
    ]
    keys = {"".join(words) or folded(name)}
    if len(words) > 1 and not any(_is_ideographic(word) for word in words):
        keys.add("".join([*words[1:], words[0]]))
    return keys


def _is_ideographic(word: str) -> bool:
    return any(unicodedata.east_asian_width(letter) in ("W", "F") for letter in word)


def is_same_patient(name: str, number: str, other_name: str, other_number: str) -> bool:
    """Return whether names agree, and numbers too where both are given."""
    if number and other_number and number_key(number) != number_key(other_number):
        return False
    return is_same_name(name, other_name)
