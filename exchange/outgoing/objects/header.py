"""What the objects of a reading state about patient, study and source image.

Where the file's header holds for the patient (`exchange.uids`), the objects belong to its study and
repeat what it states about the study. Patient's name and number are always those that the doctor
confirmed; the header's spelling in up to three scripts is kept if it is the same name.
"""

import datetime
import io
import logging
import re
import unicodedata
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage

from diagnosis.models import Reading
from diagnosis.search import number_key
from diagnosis.services.patients import is_same_name
from exchange import uids
from mlcore.engine.films.dicom import names

logger = logging.getLogger(__name__)

UTF8: Final = "ISO_IR 192"
# Stated by the header about the study; the objects of one study must agree on it.
STUDY: Final = (
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription",
)  # fmt: skip
# Stated about the image, for those who show a map over it.
IMAGE: Final = ("Rows", "Columns", "PatientOrientation", "ImagerPixelSpacing")
_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientSex", "TimezoneOffsetFromUTC")
_USED = (
    *STUDY, *IMAGE, *_PATIENT, "SOPClassUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID",
    "SOPInstanceUID",
)  # fmt: skip
# These may be in any character set, even one that the header does not name.
_TEXTS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip
_FORMS = {
    "StudyDate": re.compile(r"\d{8}"),
    "StudyTime": re.compile(r"\d\d([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "PatientOrientation": re.compile(r"\['[A-Z]{1,3}', '[A-Z]{1,3}'\]"),
    "ImagerPixelSpacing": re.compile(r"\[[0-9.]{1,16}, [0-9.]{1,16}\]"),
}
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def header_of(reading: Reading, original: bytes) -> tuple[Dataset, bool]:
    """Return the header that the objects of a reading share, and whether it has a source image.

    Args:
        reading: the reading.
        original: the uploaded file.

    Returns:
        Patient and study with UTF-8 text, and the identity of the image that the objects refer to.
        That is the uploaded DICOM image, or the Secondary Capture that is made of another film.
    """
    stated = _stated(reading, original)
    header = Dataset()
    put(header, "SpecificCharacterSet", UTF8)
    put(header, "TimezoneOffsetFromUTC", _offset(reading, stated))
    _put_patient(header, reading, stated)
    _put_study(header, reading, stated)
    is_source = stated is not None and has_source(reading, stated)
    if stated is not None and is_source:
        for keyword in ("SOPClassUID", "Modality", *IMAGE):
            if stated.get(keyword):
                put(header, keyword, stated[keyword].value)
    else:
        put(header, "SOPClassUID", SecondaryCaptureImageStorage)
        put(header, "Modality", "OT")
        header.Rows, header.Columns = reading.film_height, reading.film_width
    header.StudyInstanceUID = UID(uids.study_uid(reading))
    header.SeriesInstanceUID = UID(uids.series_uid(reading))
    header.SOPInstanceUID = UID(uids.instance_uid(reading))
    return header, is_source


def has_source(reading: Reading, stated: Dataset) -> bool:
    """Return whether the film is a DICOM image that others know by the UIDs of its header."""
    if not all(stated.get(each) for each in ("SOPClassUID", "Rows", "Columns")):
        return False
    own = (uids.study_uid(reading), uids.series_uid(reading), uids.instance_uid(reading))
    named = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return all(stated.get(name) == uid for name, uid in zip(named, own, strict=True))


def put(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an attribute to a value of any form; others' headers need not be valid."""
    vr = dictionary_VR(keyword)
    dataset.add(DataElement(keyword, vr, value, validation_mode=config.IGNORE))


def zone_of(header: Dataset) -> datetime.timezone:
    """Return the time zone of the dates and times of an object."""
    text = str(header.TimezoneOffsetFromUTC)
    minutes = 60 * int(text[1:3]) + int(text[3:5])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _stated(reading: Reading, original: bytes) -> Dataset | None:
    if reading.film_format != "DICOM":
        return None
    try:
        stated = dcmread(io.BytesIO(original), stop_before_pixels=True, force=True)
        # Only the attributes that are used: others may be beyond repair.
        chosen = Dataset()
        for keyword in _USED:
            if keyword in stated:
                put(chosen, keyword, _value(stated, keyword))
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever a damaged header causes
        logger.warning("The header of reading %s cannot be used: %s", reading.pk, type(error))
        return None
    return chosen


def _value(stated: Dataset, keyword: str) -> Any:
    """Return a header's value; text in whatever character set it is, names in all scripts."""
    if keyword in _TEXTS:
        try:
            return names.text_of(stated, keyword).strip(" \0")
        except names.UndecodableError:
            return ""
    value = stated[keyword].value
    is_valid = _FORMS[keyword].fullmatch(str(value)) if keyword in _FORMS else True
    return value if is_valid else ""


def _offset(reading: Reading, stated: Dataset | None) -> str:
    """Return the header's own offset, whose times are repeated, otherwise the site's."""
    offset = str((stated or Dataset()).get("TimezoneOffsetFromUTC") or "").strip()
    if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", offset):
        return offset
    return f"{reading.created_at.astimezone(ZoneInfo(settings.TIME_ZONE)):%z}"


def _put_patient(header: Dataset, reading: Reading, stated: Dataset | None) -> None:
    known = Dataset() if stated is None or reading.header_disowned else stated
    put(header, "PatientName", person_name(reading.patient_name, str(known.get("PatientName", ""))))
    number = str(known.get("PatientID") or "")
    is_same = bool(number) and number_key(number) == number_key(reading.patient_number)
    put(header, "PatientID", number if is_same else reading.patient_number)
    if is_same and known.get("IssuerOfPatientID"):
        put(header, "IssuerOfPatientID", known.IssuerOfPatientID)
    birth = reading.patient_birth_date
    put(header, "PatientBirthDate", f"{birth:%Y%m%d}" if birth else "")
    put(header, "PatientSex", reading.patient_sex)
    put(header, "PatientAge", f"{reading.patient_age_years:03d}Y")


def person_name(confirmed: str, in_file: str = "") -> str:
    """Return a patient's name as DICOM writes it: alphabetic, ideographic and phonetic.

    Args:
        confirmed: the name of the reading.
        in_file: the header's name; it is kept, with all its scripts, if it is the same name.
    """
    groups = in_file.split("=")
    if _REPLACEMENT not in in_file and any(
        is_same_name(group, confirmed) for group in groups if group.strip("^ ")
    ):
        return in_file
    name = re.sub(r"[\\=^\x00-\x1f]+", " ", confirmed).strip()
    # Not every system shows the ideographic group, so it is not the only one.
    return f"{name}={name}" if any(map(_is_ideographic, name)) else name


def _is_ideographic(character: str) -> bool:
    return unicodedata.east_asian_width(character) == "W" and character.isalpha()


def _put_study(header: Dataset, reading: Reading, stated: Dataset | None) -> None:
    """Repeat what the header states about its study; of a made study, state the exam date."""
    is_own = stated is not None and stated.get("StudyInstanceUID") == uids.study_uid(reading)
    for keyword in STUDY:
        value = stated.get(keyword) if is_own and stated is not None else None
        if value not in (None, "") or keyword != "StudyDescription":
            put(header, keyword, "" if value is None else value)
    if not is_own:
        put(header, "StudyDate", f"{reading.exam_date:%Y%m%d}")
