"""Limits of an account on uploads, topics, replies, shared cases and exports; quotas of storage."""

import datetime
import uuid

import pytest
import time_machine
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import translation

from accounts import account_limits
from diagnosis.models import Reading, SharedCase
from forum.models import Category, Post, Topic
from tests import board
from tests.conftest import patient_details, post_film, upload_of
from tests.factories import DoctorFactory
from tests.films import encode, synthetic_film
from xraysite.common import env

pytestmark = pytest.mark.django_db
START = datetime.datetime(2026, 3, 2, 1, tzinfo=datetime.UTC)
WAIT = "Try again in"


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()
    yield
    cache.clear()


def text_of(response) -> str:
    return " ".join(response.content.decode().split())


def film(seed: int) -> bytes:
    return encode(synthetic_film("NORMAL", seed=seed, size=320), "png")


def test_uploads_are_limited_with_the_time_to_wait(settings, active_model, as_doctor):
    settings.ACCOUNT_LIMITS = {"upload": ["2/h"]}
    with time_machine.travel(START, tick=False) as clock:
        for seed in range(2):
            assert post_film(as_doctor, film(seed)).status_code == 302
        clock.shift(datetime.timedelta(minutes=20))
        refused = post_film(as_doctor, film(3), patient_name="Kept Name")
        assert refused.status_code == 429
        assert f"many X-rays in a short time. {WAIT} 40 minutes." in text_of(refused)
        assert 'value="Kept Name"' in text_of(refused)
        assert Reading.objects.count() == 2
        clock.shift(datetime.timedelta(minutes=41))
        assert post_film(as_doctor, film(3)).status_code == 302


def test_a_script_that_uploads_too_often_gets_422(settings, active_model, as_doctor):
    settings.ACCOUNT_LIMITS = {"upload": ["1/h"]}
    post_film(as_doctor, film(1))
    sent = patient_details() | {"film": upload_of(film(2))}
    response = as_doctor.post(
        "/readings/new/", sent, headers={"x-requested-with": "XMLHttpRequest"}
    )
    assert response.status_code == 422
    assert WAIT in text_of(response)


def test_topics_are_limited_and_the_text_is_kept(settings, as_doctor):
    settings.ACCOUNT_LIMITS = {"topic": ["3/d"]}
    category = Category.objects.get(name_en="Cases").pk
    for _ in range(3):
        as_doctor.post("/forum/new/", board.form(title="A", category=category, body="B"))
    sent = board.form(title="A fourth", category=category, body="Kept text")
    page = text_of(as_doctor.post("/forum/new/", sent))
    assert f"{WAIT} 24 hours." in page
    assert "Kept text" in page
    assert Topic.objects.count() == 3


def test_replies_are_limited(settings, as_doctor, doctor):
    topic = board.open_topic(doctor)
    settings.ACCOUNT_LIMITS = {"post": ["1/15m"]}
    address = f"/forum/{topic.pk}/reply/"
    assert as_doctor.post(address, board.form(body="one")).status_code == 302
    response = as_doctor.post(address, board.form(body="two"), headers={"hx-request": "true"})
    assert f"{WAIT} 15 minutes." in text_of(response)
    assert Post.objects.filter(topic=topic).count() == 2


def test_a_reply_that_fails_is_not_counted(settings, as_doctor, doctor):
    topic = board.open_topic(doctor)
    Topic.objects.filter(pk=topic.pk).update(is_locked=True)
    settings.ACCOUNT_LIMITS = {"post": ["1/h"]}
    address = f"/forum/{topic.pk}/reply/"
    assert "locked in the meantime" in text_of(as_doctor.post(address, board.form(body="one")))
    Topic.objects.filter(pk=topic.pk).update(is_locked=False)
    assert as_doctor.post(address, board.form(body="one")).status_code == 302


def test_images_are_limited_and_an_invalid_one_is_not_counted(settings, as_doctor, doctor):
    settings.ACCOUNT_LIMITS = {"picture": ["1/h"]}

    def add(data: bytes):
        return as_doctor.post("/forum/pictures/", {"picture": SimpleUploadedFile("p.png", data)})

    assert add(b"no image").status_code == 422
    assert add(board.picture()).status_code == 201
    refused = add(board.picture())
    assert refused.status_code == 422
    assert "many images" in refused.json()["error"]
    topic = board.open_topic(doctor)
    sent = board.form(body="Kept text") | {"picture": SimpleUploadedFile("p.png", board.picture())}
    page = text_of(as_doctor.post(f"/forum/{topic.pk}/reply/", sent))
    assert "many images" in page
    assert "Kept text" in page


def test_shared_cases_are_limited(settings, reading, as_doctor):
    settings.ACCOUNT_LIMITS = {"share": ["1/h"]}
    address = f"/readings/{reading.pk}/share/"

    def share():
        form = as_doctor.get(address).context["form"]
        return as_doctor.post(address, {
            "category": Category.objects.get(name_en="Cases").pk, "title": "A case",
            "body": form["body"].value(), "boxes": "0 0 40 10", "step": "post",
            "submission": form["submission"].value(), "confirmed": "on",
        })  # fmt: skip

    assert share().status_code == 302
    refused = share()
    assert refused.status_code == 429
    assert f"many cases in a short time. {WAIT} 60 minutes." in text_of(refused)
    assert SharedCase.objects.count() == 1


@pytest.mark.parametrize(
    "address",
    ["/admin/diagnosis/reading/export/", "/admin/who-saw/?person={person}&format=csv"],
)
def test_exports_are_limited(settings, as_supervisor, reading, address):
    settings.ACCOUNT_LIMITS = {"export": ["1/h"]}
    address = address.format(person=reading.doctor_id)
    exported = as_supervisor.get(address)
    assert exported.headers["Content-Type"].startswith("text/csv")
    refused = as_supervisor.get(address)
    assert refused.status_code == 429
    assert f"many lists in a short time. {WAIT} 60 minutes." in text_of(refused)


def test_each_account_has_limits_of_its_own(settings, doctor, other_doctor):
    settings.ACCOUNT_LIMITS = {"topic": ["5/h", "1/m"]}
    account_limits.take(account_limits.TOPIC, doctor)
    account_limits.take(account_limits.TOPIC, other_doctor)
    account_limits.take(account_limits.POST, doctor)
    with pytest.raises(account_limits.TooManyError) as error:
        account_limits.take(account_limits.TOPIC, doctor)
    with translation.override("en"):
        assert str(error.value).endswith(f"{WAIT} 1 minute.")


def test_quota_of_storage_refuses_an_upload(settings, active_model, as_doctor, doctor):
    assert post_film(as_doctor, film(1)).status_code == 302
    settings.DOCTOR_QUOTA_BYTES = Reading.objects.get().film_bytes
    refused = post_film(as_doctor, film(2))
    assert refused.status_code == 429
    assert "as much as an account may use. Contact a supervisor." in text_of(refused)
    settings.DOCTOR_QUOTA_BYTES += 1
    assert post_film(as_doctor, film(2)).status_code == 302


def test_office_shows_storage_by_doctor_and_the_quota(settings, reading, doctor, as_supervisor):
    other = DoctorFactory(display_name="Larger")
    copied = {
        field.attname: getattr(reading, field.attname) for field in Reading._meta.concrete_fields
    }
    Reading.objects.update(film_bytes=3 * 10**8)
    Reading.objects.create(
        **copied | {"id": uuid.uuid4(), "doctor_id": other.pk, "film_bytes": 6 * 10**8}
    )
    settings.DOCTOR_QUOTA_BYTES = 12 * 10**8
    page = text_of(as_supervisor.get("/admin/"))
    table = page[page.index("Storage by doctor") :]
    assert table.index("Larger") < table.index(doctor.display_name)
    assert "50%" in table
    assert "25%" in table
    settings.DOCTOR_QUOTA_BYTES = 0
    assert "Of the quota" not in text_of(as_supervisor.get("/admin/"))


@pytest.mark.parametrize(
    ("text", "expected"), [("", []), ("10/h", ["10/h"]), ("5/15m, 20/d", ["5/15m", "20/d"])]
)
def test_rates_from_the_environment(monkeypatch, text, expected):
    monkeypatch.setenv("LIMIT_X", text)
    assert env.rates("LIMIT_X", default="1/h") == expected


@pytest.mark.parametrize("text", ["10", "0/h", "10/w", "x/h", "10/h/ip"])
def test_other_rates_are_refused(monkeypatch, text):
    monkeypatch.setenv("LIMIT_X", text)
    with pytest.raises(ImproperlyConfigured, match="takes rates such as 10/h"):
        env.rates("LIMIT_X", default="1/h")
