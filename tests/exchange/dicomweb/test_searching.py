"""QIDO-RS: what programs find, under which patient, and who finds what."""

import datetime
from dataclasses import replace

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from diagnosis import access_log, storage
from diagnosis.models import Reading, Source
from diagnosis.services import readings as services
from diagnosis.services.conflicts import Choice, Decisions
from exchange.dicomweb.corrections import details_of
from tests.exchange.dicomweb.programs import (
    FILM,
    NAME,
    SERIES,
    STUDY,
    Program,
    film_file,
    picture_file,
    read,
    value,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def films(active_model, doctor, django_capture_on_commit_callbacks) -> list[Reading]:
    """Two films of one series, and one that came as a picture."""
    with django_capture_on_commit_callbacks(execute=True):
        return [
            read(doctor, film_file(1)),
            read(doctor, film_file(2)),
            read(
                doctor, picture_file(3), name="Lin Mei", number="B 77", sex="F",
                exam_date=datetime.date(2026, 2, 3),
            ),
        ]  # fmt: skip


@pytest.fixture
def program(doctor) -> Program:
    return Program(doctor)


def test_studies_are_listed_with_the_patient_in_every_script(films, program):
    newest, study = program.search("/studies")
    assert value(study, "StudyInstanceUID") == STUDY
    assert value(study, "PatientName") == dict(
        zip(("Alphabetic", "Ideographic", "Phonetic"), NAME.split("="), strict=True)
    )
    assert value(study, "PatientID") == "A123"
    assert value(study, "StudyDate") == "20260102"
    assert value(study, "StudyTime") == "101112"
    assert study["00080061"]["Value"] == ["DX"]
    assert value(study, "NumberOfStudyRelatedSeries") == 1
    assert value(study, "NumberOfStudyRelatedInstances") == 2
    assert value(study, "RetrieveURL") == f"http://testserver/dicomweb/studies/{STUDY}"
    assert value(newest, "PatientName") == {"Alphabetic": "Lin Mei"}
    assert newest["00080061"]["Value"] == ["OT"]


def test_series_and_films_are_listed(films, program):
    (series,) = program.search(f"/studies/{STUDY}/series")
    assert value(series, "SeriesInstanceUID") == SERIES
    assert value(series, "Modality") == "DX"
    assert value(series, "NumberOfSeriesRelatedInstances") == 2
    rows = program.search(f"/studies/{STUDY}/series/{SERIES}/instances")
    assert [value(row, "SOPInstanceUID") for row in rows] == [f"{FILM}.2", f"{FILM}.1"]
    assert {value(row, "Rows") for row in rows} == {256}
    assert len(program.search("/series")) == 2
    assert len(program.search("/instances")) == 3
    assert len(program.search(f"/studies/{STUDY}/instances")) == 2


MATCHES = [
    ({"PatientName": "陳^小明"}, 1),
    ({"PatientName": "chen^xiao*"}, 1),
    ({"PatientName": "*小明"}, 1),
    ({"PatientName": "陳小?"}, 1),
    ({"PatientName": "Xiao"}, 0),
    ({"PatientName": "*"}, 2),
    ({"PatientName": ""}, 2),
    ({"PatientName": "lin mei"}, 1),
    ({"00100010": "Lin*"}, 1),
    ({"PatientName": "[Ll]in*"}, 0),
    ({"PatientID": "a123"}, 1),
    ({"PatientID": "A*"}, 1),
    ({"PatientID": "A12"}, 0),
    ({"StudyDate": "20260102"}, 1),
    ({"StudyDate": "20260101-20260131"}, 1),
    ({"StudyDate": "20260103-"}, 1),
    ({"StudyDate": "-20251231"}, 0),
    ({"StudyInstanceUID": f"1.9,{STUDY}"}, 1),
    ({"StudyInstanceUID": f"1.9\\{STUDY}"}, 1),
    ({"SeriesInstanceUID": SERIES}, 1),
    ({"SOPInstanceUID": f"{FILM}.2"}, 1),
    ({"ModalitiesInStudy": "DX"}, 1),
    ({"ModalitiesInStudy": "OT"}, 1),
    ({"ModalitiesInStudy": "CR,DX"}, 1),
    ({"ModalitiesInStudy": "CT"}, 0),
    ({"PatientSex": "F"}, 1),
    ({"StudyTime": "100000-110000"}, 1),
    ({"StudyTime": "110000-"}, 0),
    ({"PatientName": "陳*", "StudyDate": "20260102"}, 1),
    ({"limit": 1}, 1),
    ({"limit": 5, "offset": 1}, 1),
    ({"offset": 2}, 0),
]


def test_matching(films, program):
    found = [(query, len(program.search("/studies", **query))) for query, _count in MATCHES]
    assert [each for each in found if each not in MATCHES] == []


def test_malformed_searches_are_refused_with_a_reason(active_model, program):
    for query in (
        {"StudyDate": "2026-01-02"}, {"StudyDate": "20261301"}, {"limit": "many"},
        {"Nonsense": "1"}, {"StudyInstanceUID": "a"}, {"includefield": "Nonsense"},
        {"PatientName": "x" * 300}, {"PatientName": "*a*a*a*"},
    ):  # fmt: skip
        response = program.get("/studies", **query)
        assert response.status_code == 400, query
        assert len(response.json()["error"]) > 10


def test_what_was_not_done_is_stated(films, program):
    response = program.get("/studies", fuzzymatching="true", limit=1, PatientComments="x")
    warning = response.headers["Warning"]
    for text in ("fuzzymatching", "exceeds the limit", "PatientComments"):
        assert text in warning


def test_further_fields_are_included(films, program):
    (row,) = program.search("/instances", SOPInstanceUID=f"{FILM}.1")
    assert value(row, "ViewPosition") is None
    for included in ("ViewPosition", "00185101", "all", "PatientName,ViewPosition"):
        (row,) = program.search("/instances", SOPInstanceUID=f"{FILM}.1", includefield=included)
        assert value(row, "ViewPosition") == "PA"


def test_another_doctors_films_are_not_found(films, other_doctor, supervisor, ml_engineer):
    assert Program(other_doctor).search("/studies") == []
    assert Program(ml_engineer).search("/studies") == []
    assert len(Program(supervisor).search("/studies")) == 2


def test_the_newest_reading_of_a_film_speaks_for_it(films, other_doctor, supervisor):
    read(other_doctor, film_file(1), name="Chen Xiao Ming", sex="M")
    rows = Program(supervisor).search("/instances", SOPInstanceUID=f"{FILM}.1")
    assert [value(row, "PatientSex") for row in rows] == ["M"]


def test_deleted_readings_are_not_found(films, program, as_doctor):
    as_doctor.post(f"/readings/{films[2].pk}/delete/", {"reason": "MISTAKE"})
    assert len(program.search("/studies")) == 1


def test_a_list_is_on_the_audit_log_of_each_reading(films, program, supervisor):
    program.search("/studies", limit=1)
    found = list(access_log.events(access_log.about_readings([str(films[2].pk)]), by=supervisor))
    assert found[0].what == "dicomweb-list"
    assert found[0].person.pk == films[0].doctor_id


def test_only_a_token_opens_the_service(films, doctor, as_doctor):
    for client in (as_doctor, Client()):
        response = client.get("/dicomweb/studies")
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert Program(doctor, "readings:read").get("/studies").status_code == 403
    assert "no-store" in Program(doctor).get("/studies").headers["Cache-Control"]


def test_xml_is_not_available(active_model, program):
    response = program.get("/studies", 'multipart/related; type="application/dicom+xml"')
    assert response.status_code == 406
    assert "application/dicom+json" in response.json()["error"]
    assert program.get("/studies", "application/json").headers["Content-Type"] == "application/json"


def test_other_origins_are_let_in_by_configuration_only(active_model, program, settings):
    asking = {"origin": "https://ohif.example.org", "access-control-request-method": "GET"}
    closed = program.client.options("/dicomweb/studies", headers=asking)
    assert "Access-Control-Allow-Origin" not in closed.headers
    settings.DICOMWEB_ORIGINS = ["https://ohif.example.org"]
    opened = Client().options("/dicomweb/studies", headers=asking)
    assert opened.status_code == 204
    assert opened.headers["Access-Control-Allow-Origin"] == "https://ohif.example.org"
    assert "Authorization" in opened.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in opened.headers
    other = Client().options("/dicomweb/studies", headers=asking | {"origin": "https://evil.org"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_requests_are_limited(active_model, program, settings):
    settings.ACCOUNT_LIMITS = {"dicomweb": ["2/h"]}
    for _ in range(2):
        assert program.get("/studies").status_code == 200
    response = program.get("/studies")
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 60


def test_a_list_needs_few_queries(films, program, doctor):
    with CaptureQueriesContext(connection) as few:
        program.search("/studies", limit=1)
    for seed in (11, 12, 13):
        read(doctor, film_file(seed, StudyInstanceUID=f"1.7.{seed}"))
    program.search("/studies")  # keeps the new headers
    with CaptureQueriesContext(connection) as many:
        assert len(program.search("/studies")) == 5
    assert len(many) <= len(few) + 1


def test_headers_of_earlier_readings_are_kept_by_a_command(active_model, doctor, program, capsys):
    read(doctor, film_file(1))
    gone = read(doctor, film_file(2))
    storage.remove([storage.original_name(gone.film_sha256)])
    assert program.search("/studies", StudyTime="101112") == []
    call_command("keep_film_headers")
    assert "1 header(s) kept, 1 could not be read." in capsys.readouterr().out
    assert len(program.search("/studies", StudyTime="101112")) == 1


def test_a_correction_is_found_at_once(films, program, doctor):
    error = Choice(Source.FORM, "typing error")
    typed = Decisions(fields={"patient_name": error, "patient_number": error})
    services.edit_reading(
        doctor=doctor, reading_id=films[0].pk, decisions=typed,
        patient=replace(details_of(films[0]), name="林小美", number="C9"),
    )  # fmt: skip
    (row,) = program.search("/instances", PatientName="林*")
    assert value(row, "PatientName")["Ideographic"] == "林小美"
    assert len(program.search("/instances", PatientName="陳*")) == 1
