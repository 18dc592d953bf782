"""WADO-RS: films as they were sent or as their doctors corrected them, frames, pictures."""

import datetime
import io
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from django.test import Client
from PIL import Image

from diagnosis import access_log, storage
from diagnosis.models import Reading, Source
from diagnosis.services.conflicts import Choice, Decisions
from exchange import uids
from tests.exchange.dicomweb.programs import (
    FILM,
    NAME,
    SERIES,
    STUDY,
    Program,
    content_of,
    film_file,
    opened,
    parts_of,
    picture_file,
    read,
    value,
)
from tests.films import synthetic_film
from tests.site_urls import address_of as address_of_url
from tests.site_urls import named_patterns

pytestmark = pytest.mark.django_db
ONE = f"/studies/{STUDY}/series/{SERIES}/instances/{FILM}.1"
EXPLICIT = "1.2.840.10008.1.2.1"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Not every viewer shows the ideographic group.
BOTH = {"Alphabetic": "陳小明", "Ideographic": "陳小明"}


@pytest.fixture
def program(doctor) -> Program:
    return Program(doctor)


def address_of(reading: Reading) -> str:
    return (
        f"/studies/{uids.study_uid(reading)}/series/{uids.series_uid(reading)}"
        f"/instances/{uids.instance_uid(reading)}"
    )


def test_a_film_leaves_as_it_was_sent(active_model, doctor, program):
    data = film_file(1, transfer_syntax="jpegls", bits=12)
    read(doctor, data)
    for path in (f"/studies/{STUDY}", f"/studies/{STUDY}/series/{SERIES}", ONE):
        ((media_type, content),) = program.parts(path)
        assert media_type == "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"
        assert content == data
    single = program.get(ONE, "application/dicom; transfer-syntax=*")
    assert single.content == data
    assert program.parts(ONE, "*/*")[0][1] == data


@pytest.mark.parametrize("syntax", ["implicit", "big_endian", "deflated", "rle", "jpeg2000"])
def test_a_film_is_converted_on_demand(active_model, doctor, program, syntax):
    data = film_file(1, transfer_syntax=syntax, bits=12)
    read(doctor, data)
    accept = 'multipart/related; type="application/dicom"'
    ((media_type, content),) = program.parts(ONE, accept)
    assert media_type == f"application/dicom; transfer-syntax={EXPLICIT}"
    converted, sent = opened(content), opened(data)
    assert converted.file_meta.TransferSyntaxUID == EXPLICIT
    assert np.array_equal(converted.pixel_array, sent.pixel_array)
    for element in sent:
        if element.keyword != "PixelData":
            assert converted[element.tag] == element, element.keyword
    refused = program.get(ONE, f"{accept}; transfer-syntax=1.2.840.10008.1.2.4.70")
    assert refused.status_code == 406
    assert "transfer-syntax=*" in refused.json()["error"]


def test_several_films_come_in_parts(active_model, doctor, program):
    sent = [film_file(1), film_file(2)]
    for data in sent:
        read(doctor, data)
    assert [content for _type, content in program.parts(f"/studies/{STUDY}")] == sent[::-1]


def test_what_the_doctor_corrected_is_corrected_in_the_film(active_model, doctor, program):
    data = film_file(1, character_set="ISO_IR 100", patient_name="Chen^Xiao", birth_date="20230501",
                     age=None)  # fmt: skip
    typed = Choice(Source.FORM, "typing error")
    reading = read(
        doctor, data, name="陳小明", number="A124", age_years=2,
        decisions=Decisions(fields={"patient_name": typed, "patient_number": typed}),
    )  # fmt: skip
    (film,) = program.films(ONE)
    (row,) = program.search("/studies")
    assert str(film.PatientName) == "陳小明=陳小明"
    assert value(row, "PatientName") == BOTH
    assert film.PatientID == value(row, "PatientID") == "A124"
    assert (film.StudyInstanceUID, film.SOPInstanceUID) == (STUDY, f"{FILM}.1")
    (original,) = film.OriginalAttributesSequence
    (before,) = original.ModifiedAttributesSequence
    assert (before.PatientName, before.PatientID) == ("Chen^Xiao", "A123")
    assert original.ReasonForTheAttributeModification == "CORRECT"
    assert np.array_equal(film.pixel_array, opened(data).pixel_array)
    (metadata,) = program.search(f"{ONE}/metadata")
    assert value(metadata, "PatientName") == BOTH
    assert storage.read(storage.original_name(reading.film_sha256)) == data


def test_another_patients_identity_leaves_with_no_corrected_film(active_model, doctor, program):
    """Archives link records by a patient's other numbers."""
    data = film_file(1, OtherPatientIDs="OLD9", IssuerOfPatientID="ELSEWHERE",
                     PatientAddress="1 Road")  # fmt: skip
    reading = read(doctor, data)
    (film,) = program.films(ONE)
    assert film.OtherPatientIDs == "OLD9"
    Reading.objects.filter(pk=reading.pk).update(patient_number="B77")
    (film,) = program.films(ONE)
    assert film.PatientID == "B77"
    assert not {"OtherPatientIDs", "IssuerOfPatientID", "PatientAddress"} & set(film.dir())
    (original,) = film.OriginalAttributesSequence
    assert original.ModifiedAttributesSequence[0].OtherPatientIDs == "OLD9"
    # The doctor knows that the number is wrong, and no other one.
    Reading.objects.filter(pk=reading.pk).update(patient_number="")
    (film,) = program.films(ONE)
    assert film.PatientID == ""
    assert "OtherPatientIDs" not in film


def test_a_disowned_header_never_leaves(active_model, doctor, program):
    data = film_file(
        1, AccessionNumber="ACC9", InstitutionName="Other Hospital", patient_id="X999",
        StudyDescription="Chest of somebody else", OtherPatientIDs="OTHER-ID",
        DetectorID="DETECTOR", StationName="VAN9", PatientComments="secret", KVP="80",
    )  # fmt: skip
    wrong = Choice(Source.DISOWNED, "another child's header")
    own = Choice(Source.FORM, "another child's header")
    fields = {"patient_name": own, "patient_number": own, "patient_age_years": wrong}
    reading = read(
        doctor, data, name="林美", number="B77", age_years=2, decisions=Decisions(fields=fields)
    )
    assert reading.header_disowned
    assert program.get(ONE).status_code == 404
    (film,) = program.films(address_of(reading))
    (row,) = program.search("/instances", includefield="all")
    everything = program.get(address_of(reading)).getvalue()
    for secret in (
        "陳", "Chen", "X999", "ACC9", "Other Hospital", "somebody", "OTHER-ID", "DETECTOR", "VAN9",
        "secret", f"{FILM}.1",
    ):  # fmt: skip
        assert secret.encode() not in everything, secret
    assert str(film.PatientName) == "林美=林美"
    assert film.PatientID == value(row, "PatientID") == "B77"
    assert film.SOPClassUID == value(row, "SOPClassUID") == CAPTURE
    assert np.array_equal(film.pixel_array, opened(data).pixel_array)
    assert "Other Hospital" not in str(row)
    assert value(row, "StudyTime") is None
    assert program.search("/studies", ModalitiesInStudy="DX") == []


def test_a_picture_becomes_a_secondary_capture(active_model, doctor, program):
    reading = read(doctor, picture_file(3))
    address = address_of(reading)
    (film,) = program.films(address)
    (row,) = program.search("/instances", includefield="all")
    for keyword in ("SOPClassUID", "SeriesDescription", "SeriesNumber", "Modality"):
        assert film[keyword].value == value(row, keyword), keyword
    assert film.SOPClassUID == CAPTURE
    assert "uploaded" in film.ImageComments
    assert str(film.PatientName) == "陳小明=陳小明"
    assert np.array_equal(film.pixel_array, synthetic_film("NORMAL", seed=3))
    assert program.parts(address) == program.parts(address)
    ((_type, frame),) = program.parts(f"{address}/frames/1", "*/*")
    assert frame == synthetic_film("NORMAL", seed=3).tobytes()
    (metadata,) = program.search(f"{address}/metadata")
    assert value(metadata, "Rows") == 256


@pytest.mark.parametrize("kind", ["picture", "disowned", "corrected"])
def test_what_leaves_is_valid_dicom(active_model, doctor, program, tmp_path, kind):
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("NOT TESTED with dciodvfy: it is not installed")
    own = Choice(Source.FORM, "another child's header")
    fields = {"patient_name": own, "patient_number": own}
    if kind == "disowned":
        fields["patient_age_years"] = Choice(Source.DISOWNED, "another child's header")
    if kind == "picture":
        reading = read(doctor, picture_file(3))
    else:
        reading = read(
            doctor, film_file(1), name="林美", number="B77",
            age_years=2 if kind == "disowned" else 3, decisions=Decisions(fields=fields),
        )  # fmt: skip

    def errors(data: bytes) -> set[str]:
        (tmp_path / "film.dcm").write_bytes(data)
        run = subprocess.run(
            [validator, tmp_path / "film.dcm"], capture_output=True, text=True, check=False
        )
        return {line for line in run.stderr.splitlines() if line.startswith("Error")}

    # The synthetic film lacks what an X-ray machine would state.
    lacking = errors(film_file(1)) if kind != "picture" else set()
    assert errors(program.parts(address_of(reading))[0][1]) - lacking == set()


def test_metadata_has_everything_but_the_bulk(active_model, doctor, program):
    data = film_file(1, transfer_syntax="jpegls")
    changed = opened(data)
    changed.add_new(0x00091001, "OB", b"x" * 4000)
    changed.add_new(0x00090010, "LO", "SOMEBODY")
    buffer = io.BytesIO()
    changed.save_as(buffer)
    read(doctor, buffer.getvalue())
    (metadata,) = program.search(f"/studies/{STUDY}/metadata")
    assert metadata == program.search(f"/studies/{STUDY}/series/{SERIES}/metadata")[0]
    groups = value(metadata, "PatientName")
    assert "=".join(groups.values()) == NAME
    pixels = metadata["7FE00010"]["BulkDataURI"].removeprefix("http://testserver/dicomweb")
    ((_type, frame),) = program.parts(pixels, 'multipart/related; type="application/octet-stream"')
    assert frame == changed.pixel_array.tobytes()
    private = metadata["00091001"]["BulkDataURI"].removeprefix("http://testserver/dicomweb")
    assert program.get(private, "application/octet-stream").content == b"x" * 4000
    for missing in ("00091002", "7FE0", "00091001/9/00091001", "../../x"):
        assert program.get(f"{ONE}/bulkdata/{missing}", "*/*").status_code == 404


@pytest.mark.parametrize(
    ("syntax", "media_type"),
    [("jpegls", "image/jls"), ("jpeg2000", "image/jp2"), ("rle", "image/dicom-rle"),
     ("jpeg_lossless", "image/jpeg")],
)  # fmt: skip
def test_frames_come_as_they_are_stored_or_native(
    active_model, doctor, program, syntax, media_type
):
    data = film_file(1, transfer_syntax=syntax, bits=12)
    read(doctor, data)
    sent = opened(data)
    stored = next(pydicom.encaps.generate_frames(sent.PixelData, number_of_frames=1))
    uid = sent.file_meta.TransferSyntaxUID
    for accept in (
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        f'multipart/related; type="{media_type}"; transfer-syntax={uid}',
    ):
        assert program.parts(f"{ONE}/frames/1", accept) == [
            (f"{media_type}; transfer-syntax={uid}", stored)
        ]
    native = 'multipart/related; type="application/octet-stream"'
    ((_type, frame),) = program.parts(f"{ONE}/frames/1", native)
    shown = synthetic_film("NORMAL", seed=1)
    assert np.array_equal(
        np.frombuffer(frame, "<u2"), np.rint(shown.astype(float) * 4095 / 255).ravel()
    )
    assert program.get(f"{ONE}/frames/2", native).status_code == 404
    assert program.get(f"{ONE}/frames/1", "image/gif").status_code == 406


def test_rendered_films(active_model, doctor, program):
    data = film_file(1, bits=12, rescale=(1, -1000), window=(1047.5, 4096))
    reading = read(doctor, data)
    plain = Image.open(io.BytesIO(program.get(f"{ONE}/rendered", "image/jpeg").content))
    assert plain.size == (256, 256)
    assert abs(np.asarray(plain).astype(int) - synthetic_film("NORMAL", seed=1)).mean() < 3

    def png(**query) -> np.ndarray:
        response = program.get(f"{ONE}/frames/1/rendered", "image/png", **query)
        assert response.status_code == 200, response.content
        return np.asarray(Image.open(io.BytesIO(response.content)))

    assert np.array_equal(png(), synthetic_film("NORMAL", seed=1))
    stored = opened(data).pixel_array.astype(float) - 1000
    levels = np.clip(((stored - (500 - 0.5)) / 999 + 0.5) * 255, 0, 255)
    assert np.array_equal(png(window="500,1000,linear"), np.rint(levels))
    assert png(viewport="64,100").shape == (64, 64)
    assert np.array_equal(
        png(viewport="50,60,10,20,50,60"), synthetic_film("NORMAL", seed=1)[20:80, 10:60]
    )
    thumbnail = Image.open(io.BytesIO(program.get(f"{ONE}/thumbnail", "*/*").content))
    assert thumbnail.size == (160, 160)
    assert len(program.parts(f"/studies/{STUDY}/rendered", 'multipart/related; type="image/png"'))
    for bad in (
        {"window": "1"}, {"window": "1,0,linear"}, {"window": "nan,1,linear"},
        {"viewport": "0,0"}, {"viewport": "10,10,250,0,10,10"}, {"quality": "101"},
    ):  # fmt: skip
        assert program.get(f"{ONE}/rendered", "image/png", **bad).status_code == 400, bad
    assert reading.film_width == 256


def test_another_doctors_film_does_not_exist(active_model, doctor, other_doctor, supervisor):
    reading = read(doctor, film_file(1))
    stranger = Program(other_doctor)
    for path in ("", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010"):
        assert stranger.get(f"{ONE}{path}").status_code == 404
    assert stranger.get(f"/studies/{STUDY}").status_code == 404
    assert stranger.get("/studies/9.9").json() == stranger.get(f"/studies/{STUDY}").json()
    assert Program(supervisor).get(ONE).status_code == 200
    assert Client().get(f"/dicomweb{ONE}").status_code == 401
    reading.refresh_from_db()


def test_every_retrieval_is_on_the_audit_log(active_model, doctor, supervisor):
    reading = read(doctor, film_file(1))
    program = Program(supervisor)
    for path in ("", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010"):
        assert program.get(f"{ONE}{path}", "*/*").status_code in (200, 406)
    found = access_log.events(access_log.about_readings([str(reading.pk)]), by=supervisor)
    events = [event.what for event in found if event.person.pk == supervisor.pk]
    assert events == [
        "dicomweb-film", "dicomweb-thumbnail", "dicomweb-rendered", "dicomweb-film",
        "dicomweb-header", "dicomweb-film",
    ]  # fmt: skip
    viewers = access_log.others_who_viewed(reading)
    assert [viewer["name"] for viewer in viewers] == [supervisor.display_name]


def test_a_missing_film_is_reported(active_model, doctor, program):
    reading = read(doctor, film_file(1))
    storage.remove([storage.original_name(reading.film_sha256)])
    response = program.get(ONE)
    assert response.status_code == 503
    assert "missing" in response.json()["error"]


def test_what_a_viewer_asks_for_in_its_order(active_model, doctor, program):
    """As OHIF 3 opens a study from its list."""
    read(doctor, film_file(1))
    (study,) = program.search(
        "/studies", limit=101, offset=0, fuzzymatching="false",
        includefield="00081030,00080060",
    )  # fmt: skip
    uid = value(study, "StudyInstanceUID")
    (series,) = program.search(f"/studies/{uid}/series", includefield="0008103E,00080021")
    series_uid = value(series, "SeriesInstanceUID")
    (film,) = program.search(f"/studies/{uid}/series/{series_uid}/metadata")
    frames = f"/studies/{uid}/series/{series_uid}/instances/{value(film, 'SOPInstanceUID')}"
    accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"
    response = program.get(f"{frames}/frames/1", accept)
    ((media_type, frame),) = parts_of(response.headers["Content-Type"], content_of(response))
    assert media_type == f"application/octet-stream; transfer-syntax={EXPLICIT}"
    assert len(frame) == value(film, "Rows") * value(film, "Columns")
    assert datetime.date(2026, 1, 2).strftime("%Y%m%d") == value(film, "StudyDate")


def test_who_may_get_what(active_model, doctor, other_doctor, supervisor, ml_engineer):
    """The permission matrix of tokens: every address by every role."""
    reading = read(doctor, film_file(1))
    people = {
        "doctor": Program(doctor), "other": Program(other_doctor), "writer":
        Program(doctor, "dicomweb:write"), "supervisor": Program(supervisor), "ml":
        Program(ml_engineer),
    }  # fmt: skip
    searches = {"studies", "series", "instances", "study_series", "study_instances",
                "series_instances"}  # fmt: skip
    names = [name for name, _pattern in named_patterns() if name.startswith("dicomweb:")]
    assert len(names) > 20
    for name in names:
        address = address_of_url(name, reading)
        hidden = 200 if name.removeprefix("dicomweb:") in searches else 404
        expected = {"doctor": 200, "other": hidden, "writer": 403, "supervisor": 200, "ml": hidden}
        found = {who: program.client.get(address).status_code for who, program in people.items()}
        assert found == expected, name


def test_nothing_of_the_result_leaves(active_model, doctor, program):
    """The doctor's own opinion comes first; the films alone are given."""
    for data in (film_file(1), picture_file(3)):
        reading = read(doctor, data)
        Reading.objects.filter(pk=reading.pk).update(blind_first=True, withheld=True)
        address = address_of(reading)
        sent = program.get(address).getvalue() + program.get(f"{address}/metadata").content
        sent += program.get("/instances", includefield="all").content
        for result in (reading.label, reading.probability_shown, "probab", "Heatmap"):
            assert result.encode() not in sent, result
