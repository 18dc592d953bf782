"""One film without identifiers: a DICOM file of its stored values, or a PNG."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnosis.models import Reading
from diagnosis.services.films import original_film
from exchange import uids
from exchange.deidentify.keys import Key
from mlcore.decoding import decode_film
from mlcore.engine.films.encoded import raise_error
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import MAX_BYTES, MAX_PIXELS
from mlcore.engine.films.redaction import Box, render_redacted
from xraysite.common.decoders import pool

DICOM, PNG = "dcm", "png"
# Older patients are so few that an exact age could identify them.
OLDEST_AGE = 90


class LeakError(Exception):
    """Raised if the new file holds an identifier all the same: a fault, and nothing is written."""


@dataclass(frozen=True)
class CleanFilm:
    """A film as it is exported.

    Attributes:
        data: the file.
        ending: of the file's name.
        removed: how many elements of each name were left out of a DICOM header.
        burned_in: what a DICOM file says of text in the image: "YES", "NO" or "".
    """

    data: bytes
    ending: str
    removed: dict[str, int] = field(default_factory=dict)
    burned_in: str = ""


@dataclass(frozen=True)
class Patient:
    """A patient in the export: the pseudonym, and what the key knows it by."""

    pseudonym: str
    known_as: str


def patient_of(reading: Reading, key: Key) -> Patient:
    """Return the patient of a reading in the export."""
    study = reading.study
    known_as = str(study.patient_id if study else reading.pk)
    return Patient(key.pseudonym(known_as), known_as)


def clean_film(
    reading: Reading, *, key: Key, boxes: Sequence[Box] = (), as_picture: bool = False
) -> CleanFilm:
    """Return a reading's film without identifiers.

    Args:
        boxes: regions to black out.
        as_picture: whether DICOM files become 8-bit PNG files too.

    Raises:
        FilmMissingError: the film is missing from the storage.
        FilmError: it cannot be decoded.
        LeakError: an identifier would have been left.
    """
    data = original_film(reading)
    if reading.film_format != "DICOM":
        return CleanFilm(_picture(data, boxes), PNG)
    reply, content = _cleaned(reading, data, key, boxes)
    if reply["leaks"]:
        raise LeakError(f"{reply['leaks']} texts of the file of reading {reading.pk} were left.")
    if as_picture or not content:
        return CleanFilm(_picture(data, boxes), PNG, reply["removed"], reply["burned_in"])
    return CleanFilm(content, DICOM, reply["removed"], reply["burned_in"])


def _picture(data: bytes, boxes: Sequence[Box]) -> bytes:
    film = decode_film(data, in_turn=False)
    return render_redacted(film, boxes, max_side=max(film.width, film.height))


def _cleaned(
    reading: Reading, data: bytes, key: Key, boxes: Sequence[Box]
) -> tuple[dict[str, Any], bytes]:
    arguments = {
        "max_bytes": MAX_BYTES,
        "max_pixels": MAX_PIXELS,
        "boxes": [[box.left, box.top, box.width, box.height] for box in boxes],
        "values": _values(reading, key),
    }
    task = "exchange.deidentify.dicom_task:cleaned"
    try:
        reply, content = pool.run(task, arguments, data, in_turn=False)
    except pool.DecoderFailedError as error:
        raise FilmError("undecodable") from error
    raise_error(reply)
    return reply, bytes(content)


def _values(reading: Reading, key: Key) -> dict[str, str]:
    """Return what is written anew, by keyword."""
    patient = patient_of(reading, key)
    day = f"{shifted_date(reading, key):%Y%m%d}"
    age = min(OLDEST_AGE, reading.patient_age_years)
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": "DERIVED\\PRIMARY",
        "SOPInstanceUID": key.uid(uids.instance_uid(reading)),
        "StudyInstanceUID": key.uid(uids.study_uid(reading)),
        "SeriesInstanceUID": key.uid(uids.series_uid(reading)),
        "StudyDate": day, "ContentDate": day, "AcquisitionDate": day,
        "StudyTime": "", "ContentTime": "", "AccessionNumber": "", "ReferringPhysicianName": "",
        "PatientName": patient.pseudonym, "PatientID": patient.pseudonym,
        "PatientBirthDate": "", "PatientSex": reading.patient_sex, "PatientAge": f"{age:03d}Y",
        "StudyID": "", "SeriesNumber": "1", "InstanceNumber": "1", "BurnedInAnnotation": "NO",
    }  # fmt: skip


def shifted_date(reading: Reading, key: Key) -> datetime.date:
    """Return the date of examination in the export."""
    return key.shifted(reading.exam_date, patient_of(reading, key).known_as)
