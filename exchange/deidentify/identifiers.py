"""The identifiers that the site knows of a reading, to look for in what is exported."""

from collections.abc import Iterator

from diagnosis.models import Reading

# Texts this short are in any file by chance.
SHORTEST = 4
ENCODINGS = ("utf-8", "big5", "gb18030", "shift_jis", "euc_kr", "utf-16-le")


def identifiers_of(reading: Reading) -> Iterator[str]:
    """Yield what names the patient, the doctor, the file or the record."""
    stated = reading.film_patient or {}
    names = [reading.patient_name, stated.get("patient_name"), *(stated.get("other_names") or [])]
    numbers = [reading.patient_number, stated.get("patient_number"), stated.get("accession_number")]
    doctor = reading.doctor
    people = [doctor.display_name, doctor.email, doctor.hospital, doctor.licence_number]
    uids = [reading.film_study_uid, reading.film_series_uid, reading.film_instance_uid]
    yield from (str(each) for each in [*names, *numbers, *people, *uids] if each)
    yield str(reading.pk)
    yield reading.film_sha256
    yield reading.original_name
    days = [reading.exam_date, reading.patient_birth_date]
    for day in days:
        if day is not None:
            yield from (day.isoformat(), f"{day:%Y%m%d}")


def identifiers_in(reading: Reading, content: bytes) -> list[str]:
    """Return the identifiers of a reading that some content holds, in any usual encoding."""
    return [
        text for text in identifiers_of(reading) if any(form in content for form in _forms(text))
    ]


def _forms(text: str) -> Iterator[bytes]:
    for encoding in ENCODINGS:
        try:
            form = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        if len(form) >= SHORTEST:
            yield form
