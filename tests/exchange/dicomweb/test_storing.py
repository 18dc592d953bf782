"""STOW-RS: films that programs send become readings of the token's user, once each."""

import pytest

from diagnosis.batches import running
from diagnosis.models import Batch, BatchItem, BatchSource, ItemState, Reading
from exchange.incoming.models import Arrival, ArrivalState, RoutingRule
from tests.exchange.dicomweb.programs import (
    FILM,
    ROOT,
    STUDY,
    Program,
    film_file,
    picture_file,
    read,
    value,
)
from tests.films import synthetic_film
from tests.films.dicom import encode_dicom

pytestmark = pytest.mark.django_db
REFERENCED, FAILED, OTHERS = "00081199", "00081198", "0008119A"


def message(*parts: bytes, media_type: str = "application/dicom", boundary: str = "b7") -> bytes:
    pieces = [
        f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode() + part + b"\r\n"
        for part in parts
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def store(program: Program, body: bytes, path: str = "/studies", **headers: str):
    kind = 'multipart/related; type="application/dicom"; boundary=b7'
    return program.client.post(
        f"{ROOT}{path}", body, content_type=headers.pop("content_type", kind), headers=headers
    )


def reasons(response, sequence: str = FAILED) -> list[int]:
    return [value(item, "FailureReason") for item in response.json()[sequence]["Value"]]


@pytest.fixture
def program(doctor) -> Program:
    return Program(doctor)


def test_films_become_readings_of_the_tokens_doctor(active_model, doctor, program):
    response = store(program, message(film_file(1), film_file(2)))
    assert response.status_code == 200, response.content.decode()
    assert response.headers["Content-Type"] == "application/dicom+json"
    answer = response.json()
    assert value(answer, "RetrieveURL") == f"http://testserver{ROOT}/studies/{STUDY}"
    stored = answer[REFERENCED]["Value"]
    assert [value(item, "ReferencedSOPInstanceUID") for item in stored] == [
        f"{FILM}.1",
        f"{FILM}.2",
    ]
    assert FAILED not in answer
    batch = Batch.objects.get()
    assert (batch.doctor, batch.source) == (doctor, BatchSource.DICOMWEB)
    running.read_waiting("test")
    readings = Reading.objects.own_of(doctor).order_by("film_instance_uid")
    assert [reading.film_instance_uid for reading in readings] == [f"{FILM}.1", f"{FILM}.2"]
    assert {reading.patient_name for reading in readings} == {"陳小明"}
    address = value(stored[0], "RetrieveURL").removeprefix(f"http://testserver{ROOT}")
    assert program.parts(address)[0][1] == film_file(1)


def test_another_film_under_the_same_uid_is_not_said_to_be_stored(active_model, doctor, program):
    """A sender deletes its copy of what is stored."""
    film = film_file(1)
    other = film_file(1, patient_name="Chang^Ta-Tung")
    assert store(program, message(film)).status_code == 200
    for _ in range(2):  # while the first waits, and afterwards
        response = store(program, message(film, other))
        assert response.status_code == 202
        assert reasons(response) == [0x0111]
        running.read_waiting("test")
    assert Reading.objects.own_of(doctor).count() == 1
    assert BatchItem.objects.count() == 1


def test_a_repeat_changes_nothing(active_model, doctor, program):
    body = message(film_file(1))
    for _ in range(2):  # while it waits
        assert store(program, body).status_code == 200
    running.read_waiting("test")
    # The same film, encoded otherwise.
    repeat = store(program, message(film_file(1, transfer_syntax="rle"), film_file(1)))
    assert repeat.status_code == 200
    assert len(repeat.json()[REFERENCED]["Value"]) == 2
    running.read_waiting("test")
    assert Reading.objects.count() == BatchItem.objects.count() == 1


def test_a_film_that_was_read_on_a_page_is_known(active_model, doctor, program):
    read(doctor, film_file(1))
    assert store(program, message(film_file(1))).status_code == 200
    assert not BatchItem.objects.exists()


def test_a_file_that_was_given_up_is_taken_again(active_model, program):
    store(program, message(film_file(1)))
    BatchItem.objects.update(state=ItemState.CANCELLED)
    assert store(program, message(film_file(1))).status_code == 200
    assert BatchItem.objects.filter(state=ItemState.WAITING).count() == 1


def test_what_cannot_be_stored_is_reported_by_part(active_model, program):
    pixels = synthetic_film("NORMAL", seed=1)
    without_uid = encode_dicom(pixels)  # no Series Instance UID
    computed_tomogram = film_file(3, modality="CT")
    response = store(
        program,
        message(film_file(1), computed_tomogram, without_uid, b"nonsense", picture_file()),
    )
    assert response.status_code == 202
    answer = response.json()
    assert len(answer[REFERENCED]["Value"]) == 1
    assert reasons(response) == [0x0122, 0xA900]
    assert reasons(response, OTHERS) == [0xC000, 0xC000]
    assert BatchItem.objects.count() == 1


def test_nothing_stored_is_a_conflict(active_model, program):
    other = store(program, message(film_file(1)), path="/studies/1.9.9")
    assert (other.status_code, reasons(other)) == (409, [0xA900])
    assert store(program, message(film_file(1)), path=f"/studies/{STUDY}").status_code == 200


def test_the_size_of_a_film_is_limited(active_model, program, settings):
    settings.FILM_MAX_BYTES = 100_000
    response = store(program, message(film_file(1, size=512), film_file(2)))
    assert response.status_code == 202
    assert reasons(response, OTHERS) == [0xA700]
    assert BatchItem.objects.count() == 1


def test_limits_of_the_account_count(active_model, program, settings):
    settings.ACCOUNT_LIMITS = {"upload": ["1/h"]}
    response = store(program, message(film_file(1), film_file(2)))
    assert (response.status_code, reasons(response)) == (202, [0xA700])
    settings.DOCTOR_QUOTA_BYTES, settings.ACCOUNT_LIMITS = 1000, {}
    assert reasons(store(program, message(film_file(3)))) == [0xA700]


@pytest.mark.parametrize(
    "cut",
    [
        lambda body: body[:-10], lambda body: body[: len(body) // 2], lambda body: b"x",
        lambda body: body.replace(b"--b7", b"--c8"), lambda body: b"--b7\r\nContent-Type: x",
    ],
)  # fmt: skip
def test_a_message_that_is_cut_off_is_refused(active_model, program, cut):
    response = store(program, cut(message(film_file(1))))
    assert response.status_code == 400
    assert "multipart" in response.json()["error"]
    assert not BatchItem.objects.exists()


def test_other_media_types_are_refused(active_model, program):
    for kind in (
        "application/dicom",
        'multipart/related; type="application/dicom+json"; boundary=b7',
    ):
        assert store(program, message(film_file(1)), content_type=kind).status_code == 415
    refused = store(program, message(film_file(1)), accept="application/dicom+xml")
    assert refused.status_code == 406
    assert not BatchItem.objects.exists()


def test_only_readers_with_the_scope_may_store(active_model, doctor, ml_engineer, as_doctor):
    body = message(film_file(1))
    assert store(Program(doctor, "dicomweb:read"), body).status_code == 403
    assert store(Program(ml_engineer), body).status_code == 403
    kind = 'multipart/related; type="application/dicom"; boundary=b7'
    assert as_doctor.post(f"{ROOT}/studies", body, content_type=kind).status_code == 401
    assert not BatchItem.objects.exists()


def test_a_device_of_a_supervisor_sends_to_whom_the_rules_say(
    active_model, doctor, supervisor, django_capture_on_commit_callbacks
):
    program = Program(supervisor)
    RoutingRule.objects.create(name="PACS", calling_ae="PACS", doctor=doctor)
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            assert store(program, message(film_file(1))).status_code == 200
    running.read_waiting("test")
    assert Reading.objects.get().doctor == doctor
    assert program.parts(f"/studies/{STUDY}")[0][0].startswith("application/dicom")


def test_without_a_rule_a_devices_films_wait_for_a_supervisor(
    active_model, supervisor, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        assert store(Program(supervisor), message(film_file(1))).status_code == 200
    arrival = Arrival.objects.get()
    assert (arrival.state, arrival.calling_ae) == (ArrivalState.WAITING, "PACS")
