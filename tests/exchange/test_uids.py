"""The UIDs of films: stored with new readings, filled in for older ones, told to other systems."""

import datetime
import io
import uuid

import pydicom
import pytest
from django.core.management import call_command
from pydicom.uid import UID

from diagnosis.models import Reading
from diagnosis.services.readings import PatientDetails, submit_reading
from diagnosis.validators import validate_film_bytes
from exchange import uids
from tests.factories import ReadingFactory
from tests.films import encode, encode_dicom, synthetic_film

STUDY, SERIES, INSTANCE = "1.2.3.4", "1.2.3.4.5", "1.2.3.4.5.6"
STATED = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": INSTANCE}
PATIENT = PatientDetails(
    name="Doe Jane", number="A123", age_years=3, exam_date=datetime.date(2026, 1, 2)
)
FUNCTIONS = [
    (uids.study_uid, uids.in_study),
    (uids.series_uid, uids.in_series),
    (uids.instance_uid, uids.of_instance),
]
pytestmark = pytest.mark.django_db


def submitted(doctor, data: bytes) -> Reading:
    return submit_reading(
        doctor=doctor,
        upload=validate_film_bytes(data, "film"),
        patient=PATIENT,
        submission=uuid.uuid4(),
    )


def all_of(reading: Reading) -> list[str]:
    return [stated(reading) for stated, _matching in FUNCTIONS]


def test_a_dicom_film_keeps_the_uids_of_its_header(active_model, doctor):
    data = encode_dicom(synthetic_film("NORMAL", seed=1), **STATED)
    reading = submitted(doctor, data)
    reading.refresh_from_db()
    assert all_of(reading) == [STUDY, SERIES, INSTANCE]
    assert reading.film_sop_class_uid == pydicom.dcmread(io.BytesIO(data)).SOPClassUID


def test_another_film_gets_uids_of_its_own_for_ever(active_model, doctor):
    reading = submitted(doctor, encode(synthetic_film("NORMAL", seed=1), "png"))
    first = all_of(reading)
    assert len(set(first)) == 3
    for uid in first:
        assert UID(uid).is_valid
        assert len(uid) <= 64
        assert uuid.UUID(int=int(uid.removeprefix("2.25."))).version == 4
    assert all_of(Reading.objects.get(pk=reading.pk)) == first


def test_uids_never_change():
    """Other systems have stored them."""
    reading = Reading(pk=uuid.UUID("7d4f1b62-5a0e-4c3b-9c55-0f5b7d1c2a11"))
    assert all_of(reading) == [
        "2.25.166564246342228896333507593186827596576",
        "2.25.166564246342228896333507593251369348930",
        "2.25.166564246342228896333507508852271884817",
    ]


def test_a_result_is_not_filed_under_the_study_of_a_header_of_somebody_else(active_model):
    reading = ReadingFactory(film_study_uid=STUDY, film_series_uid=SERIES, header_disowned=True)
    assert not {STUDY, SERIES} & set(all_of(reading))
    assert not Reading.objects.filter(uids.in_study(STUDY)).exists()


@pytest.mark.parametrize(("stated", "matching"), FUNCTIONS)
def test_a_reading_is_found_by_its_uids_alone(active_model, stated, matching):
    readings = [
        ReadingFactory(film_study_uid=STUDY, film_series_uid=SERIES, film_instance_uid=INSTANCE),
        ReadingFactory(film_study_uid="1.9", film_series_uid="1.8", film_instance_uid="1.7"),
        ReadingFactory(
            film_study_uid="1.6",
            film_series_uid="1.5",
            film_instance_uid="1.4",
            header_disowned=True,
        ),
        ReadingFactory(),
        ReadingFactory(),
    ]
    for reading in readings:
        assert list(Reading.objects.filter(matching(stated(reading)))) == [reading]
    for nonsense in ("", "1.6", "1.5", "1.4", "2.25.", "2.25.x", "2.25." + "9" * 39, "2.25.007"):
        assert not Reading.objects.filter(matching(nonsense)).exists()


def test_older_readings_get_the_uids_of_their_files(active_model, doctor, capsys):
    reading = submitted(doctor, encode_dicom(synthetic_film("NORMAL", seed=1), **STATED))
    lost = ReadingFactory(film_format="DICOM")
    Reading.objects.update(film_study_uid="", film_series_uid="", film_instance_uid="")
    call_command("fill_film_uids")
    said = capsys.readouterr()
    reading.refresh_from_db()
    assert all_of(reading) == [STUDY, SERIES, INSTANCE]
    assert said.out == "1 file(s) looked through, 1 could not be read.\n"
    assert lost.film_sha256 in said.err


@pytest.mark.parametrize("matching", [matching for _stated, matching in FUNCTIONS])
@pytest.mark.parametrize("uid", [STUDY, "2.25.166564246342228896333507593186827596576"])
def test_readings_are_found_by_indexes(matching, uid):
    plan = Reading.objects.filter(matching(uid)).values("pk").explain()
    assert "SCAN" not in plan
    assert "reading_film_" in plan
