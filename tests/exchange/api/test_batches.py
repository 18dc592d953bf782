"""Batches by the API, and the files that devices send without saying whose they are."""

import pytest

from diagnosis.batches import running
from diagnosis.models import Batch, BatchItem, ItemState, Reading
from tests.conftest import upload_of
from tests.exchange.api.conftest import problem
from tests.films import encode, encode_dicom, synthetic_film

pytestmark = pytest.mark.django_db
TABLE = b"file,name,number,age,exam_date\nfilm.png,Doe Jane,A1,3,2026-01-02\n"


@pytest.fixture
def dicom() -> bytes:
    return encode_dicom(
        synthetic_film("NORMAL", seed=2),
        PatientName="Doe^Jane", PatientID="A123", PatientAge="003Y", StudyDate="20260102",
    )  # fmt: skip


def send(program, path: str, data: bytes, name: str, **fields):
    return program.call("post", path, data=fields | {"file": upload_of(data, name)})


def test_a_batch_with_a_table_becomes_readings(program, active_model, film_bytes):
    batch = program.call("post", "/batches").json()
    path = f"/batches/{batch['id']}"
    assert send(program, f"{path}/files", TABLE, "patients.csv").status_code == 201
    first = send(program, f"{path}/files", film_bytes, "film.png")
    again = send(program, f"{path}/files", film_bytes, "film.png")
    running.read_waiting("test")
    assert (first.status_code, again.status_code) == (201, 200)
    state = program.get(path).json()
    assert (state["total"], state["done"]) == (1, 1)
    item = program.get(f"{path}/items").json()["items"][0]
    assert item["state"] == "DONE"
    assert program.get(f"/readings/{item['reading_id']}").json()["patient"]["name"] == "Doe Jane"
    assert program.get("/batches").json()["items"][0]["id"] == batch["id"]


def test_missing_patient_data_is_stated_later(program, active_model, film_bytes):
    path = f"/batches/{program.call('post', '/batches').json()['id']}"
    send(program, f"{path}/files", film_bytes, "film.png")
    running.read_waiting("test")
    item = program.get(f"{path}/items").json()["items"][0]
    assert item["state"] == "NEEDS_DATA"
    patient = {"patient_name": "A", "patient_age_years": "3", "exam_date": "2026-01-02"}
    program.send_json("patch", f"{path}/items/{item['id']}", patient)
    running.read_waiting("test")
    assert Reading.objects.get().patient_name == "A"
    late = program.call("delete", f"{path}/items/{item['id']}")
    assert problem(late) == "item-settled"


def test_a_cancelled_batch_takes_nothing(program, active_model, film_bytes):
    path = f"/batches/{program.call('post', '/batches').json()['id']}"
    assert program.call("post", f"{path}/cancel").json()["cancelled_at"]
    assert problem(send(program, f"{path}/files", film_bytes, "a.png")) == "batch-cancelled"
    assert problem(program.call("post", f"{path}/files", data={"a": "b"})) == "invalid"


def test_a_device_sends_each_film_once(program, active_model, film_bytes, dicom):
    sent = [
        send(program, "/uploads", data, name)
        for data, name in (
            (dicom, "a.dcm"), (film_bytes, "b.png"), (dicom, "copy.dcm"),
        )
    ]  # fmt: skip
    running.read_waiting("test")
    assert [each.status_code for each in sent] == [201, 201, 200]
    assert sent[2].json()["items"][0]["id"] == sent[0].json()["items"][0]["id"]
    assert Batch.objects.count() == 1
    assert Reading.objects.get().patient_name == "Doe Jane"
    # The other file states no patient and waits for the doctor.
    assert BatchItem.objects.get(path="b.png").state == ItemState.NEEDS_DATA


def test_a_film_that_the_site_has_lost_is_taken_again(program, active_model, film_bytes):
    sent = send(program, "/uploads", film_bytes, "a.png").json()["items"][0]
    BatchItem.objects.filter(pk=sent["id"]).update(
        state=ItemState.FAILED, problem={"code": "lost", "params": {}}, is_stored=False
    )
    again = send(program, "/uploads", film_bytes, "a.png")
    assert again.status_code == 201
    assert again.json()["items"][0]["state"] != "FAILED"


def test_a_full_batch_of_a_device_is_followed_by_another(program, active_model, settings):
    settings.BATCH_MAX_FILES = 1
    for seed in (1, 2):
        film = encode(synthetic_film("NORMAL", seed=seed, size=128), "png")
        assert send(program, "/uploads", film, "a.png").status_code == 201
    assert Batch.objects.count() == 2


def test_a_zip_file_may_be_larger_than_an_x_ray(program, active_model, settings, film_bytes):
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number in range(2):
            archive.writestr(f"{number}.png", film_bytes + bytes([number]))
    settings.FILM_MAX_BYTES = len(film_bytes) + 100
    path = f"/batches/{program.call('post', '/batches').json()['id']}/files"
    assert len(send(program, path, packed.getvalue(), "films.zip").json()["items"]) == 2
    assert problem(send(program, path, packed.getvalue(), "films.png")) == "too-large"
