"""Whose file is decoded next, and what the others are told."""

import threading
import time
import uuid

import pytest
from django.core.files.storage import storages
from django.urls import reverse

from diagnosis import storage, validators
from diagnosis.models import Reading
from diagnosis.services.films import VIEWER_SIDE
from tests.conftest import patient_details, post_film, upload_of
from tests.films import encode, encode_dicom, synthetic_film
from xraysite.common import environ
from xraysite.common.decoders import pool, turns

GOOD = encode(synthetic_film("NORMAL", seed=3, size=128), "png")


@pytest.fixture(autouse=True)
def _nothing_inspected():
    validators._INSPECTED.clear()


def held(queue: turns.Turns, account: str, log: list[str], release: threading.Event):
    def take() -> None:
        queue.take(account)
        log.append(account)
        release.wait(10)
        queue.give_back(account)

    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.05)
    return thread


def test_one_file_of_an_account_at_a_time_and_another_account_beside_it():
    queue, log, release = turns.Turns(at_once=2, seats=4), [], threading.Event()
    threads = [held(queue, name, log, release) for name in ("one", "one", "two")]
    assert log == ["one", "two"]
    with pytest.raises(turns.DecodersBusyError):
        queue.take("one")
    release.set()
    for thread in threads:
        thread.join(5)
    assert log == ["one", "two", "one"]


def test_seats_stay_free_for_pages_and_uploads_need_none():
    queue, log, release = turns.Turns(at_once=2, seats=3), [], threading.Event()
    threads = [held(queue, name, log, release) for name in ("one", "two", "three")]
    with pytest.raises(turns.DecodersBusyError):
        queue.take("four")
    upload = threading.Thread(target=queue.take, args=["five"], kwargs={"seated": False})
    upload.start()
    release.set()
    for thread in (*threads, upload):
        thread.join(5)
    assert log == ["one", "two", "three"]
    # The seats are free again: of those who left, and not of the upload.
    queue.give_back("five", seated=False)
    for name in ("one", "two"):
        queue.take(name)
    assert queue._seated == 2


def test_waiting_ends_after_a_while():
    queue, log, release = turns.Turns(at_once=1, seats=3, wait=0.1), [], threading.Event()
    thread = held(queue, "one", log, release)
    with pytest.raises(turns.DecodersBusyError):
        queue.take("two")
    release.set()
    thread.join(5)
    queue.take("two")


@pytest.fixture
def nobody_gets_a_turn(monkeypatch):
    def busy(self, account, **seat):
        raise turns.DecodersBusyError

    monkeypatch.setattr(turns.Turns, "take", busy)


@pytest.mark.django_db
def test_a_busy_server_keeps_the_form(as_doctor, active_model, nobody_gets_a_turn):
    details = patient_details(film=upload_of(GOOD))
    response = as_doctor.post(reverse("readings:new"), details)
    assert response.status_code == 503
    page = response.content.decode()
    assert "Other files are being read right now" in page
    assert details["patient_name"] in page
    assert not Reading.objects.exists()


@pytest.fixture
def without_rendering(reading):
    """A reading whose film has to be decoded again to be shown."""
    name = storage.rendering_name(reading.film_sha256, VIEWER_SIDE)
    storages["films"].delete(name)
    return reading


@pytest.mark.django_db
def test_an_upload_that_waited_too_long_keeps_the_form(as_doctor, active_model):
    """The server notes how long an upload waited for a thread."""
    url, limit = reverse("readings:new"), turns.MAX_QUEUE_SECONDS
    for waited, status in ((limit + 1, 503), (limit - 1, 302)):
        details = patient_details(film=upload_of(GOOD), submission=str(uuid.uuid4()))
        response = as_doctor.post(url, details, **{environ.WAITED: waited})
        assert response.status_code == status
        assert Reading.objects.exists() == (status == 302)


@pytest.mark.django_db
def test_a_page_that_needs_a_decoder_says_that_the_server_is_busy(
    as_doctor, without_rendering, monkeypatch
):
    def busy(data, **limits):
        raise turns.DecodersBusyError

    monkeypatch.setattr("diagnosis.services.films.decode_film", busy)
    response = as_doctor.get(f"/readings/{without_rendering.pk}/film/")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "The server is busy" in response.content.decode()


@pytest.mark.django_db
def test_stored_films_need_no_turn(as_doctor, without_rendering, nobody_gets_a_turn):
    """A list of readings asks for many thumbnails at once."""
    assert as_doctor.get(f"/readings/{without_rendering.pk}/film/").status_code == 200


@pytest.mark.django_db
def test_a_turn_ends_with_its_request(as_doctor, active_model):
    for _ in range(3):
        as_doctor.post("/readings/new/inspect/", {"film": upload_of(GOOD)})
    assert not turns._turns()._running


@pytest.mark.django_db
def test_without_decoders_the_form_says_so_and_readyz_too(
    as_doctor, client, active_model, monkeypatch
):
    own = pool.Pool(1)
    monkeypatch.setattr(pool, "shared_pool", lambda: own)
    monkeypatch.setattr("xraysite.readiness.shared_pool", lambda: own)
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    other = encode(synthetic_film("NORMAL", seed=4, size=128), "png")
    response = as_doctor.post(reverse("readings:new"), patient_details(film=upload_of(other)))
    assert response.status_code == 503
    assert "cannot read image files at the moment" in response.content.decode()
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["decoders"] == {"ok": False, "why": "failing"}
    monkeypatch.undo()


@pytest.mark.django_db
def test_a_busy_server_keeps_the_decisions(as_doctor, active_model, monkeypatch):
    data = encode_dicom(synthetic_film("NORMAL", seed=5, size=128), age="004Y")
    asked = post_film(as_doctor, data, patient_age_years=3)
    location = asked.headers["Location"]
    assert "/check/" in location
    validators._INSPECTED.clear()
    fields = as_doctor.get(location).context["form"].fields
    decisions = {
        name: "form" if name.startswith("choose_") else "typed again"
        for name in fields
        if name != "seen"
    }

    def busy(self, account, **seat):
        raise turns.DecodersBusyError

    monkeypatch.setattr(turns.Turns, "take", busy)
    response = as_doctor.post(location, decisions)
    assert response.status_code == 503
    page = response.content.decode()
    assert "Other files are being read right now" in page
    assert "typed again" in page
    monkeypatch.undo()
    assert as_doctor.post(location, decisions).status_code == 302
    assert Reading.objects.count() == 1


def test_a_file_of_a_batch_waits_for_those_of_requests():
    queue, log, release = turns.Turns(at_once=1, seats=3), [], threading.Event()
    threads = [held(queue, name, log, release) for name in ("one", "two")]
    with pytest.raises(turns.DecodersBusyError):
        queue.take_spare(0.1)
    release.set()
    queue.take_spare(5)
    for thread in threads:
        thread.join(5)
    assert log == ["one", "two"]
    # One at a time, however many turns are spare.
    many = turns.Turns(at_once=3, seats=3)
    many.take_spare()
    with pytest.raises(turns.DecodersBusyError):
        many.take_spare(0.1)
    many.give_back(turns.BACKGROUND, seated=False)
    many.take_spare(0.1)
