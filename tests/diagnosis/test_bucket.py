"""Films in a bucket: the same promises as on a disk, and no address for anybody."""

import errno
import socket
import time

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from accounts import avatars
from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.models import Reading
from diagnosis.services.films import VIEWER_SIDE, film_rendering, has_film, original_film
from tests import board
from tests.conftest import post_film
from tests.film_stores import BUCKET, environment
from xraysite import deploy_checks, office
from xraysite.common import env, object_storage, readiness


@pytest.fixture
def stored(bucket, active_model, as_doctor, film_bytes) -> Reading:
    response = post_film(as_doctor, film_bytes)
    assert response.status_code == 302, response.content.decode()
    return Reading.objects.get()


@pytest.fixture
def unreachable(settings, monkeypatch, bucket):
    """A bucket of a server that does not answer."""
    for name, value in environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)

    def break_down() -> None:
        settings.STORAGES = settings.STORAGES | env.bucket_storages()
        readiness.forget()

    return break_down


def test_an_upload_is_stored_in_the_bucket_and_shown(stored, bucket, as_doctor, film_bytes):
    name = storage.original_name(stored.film_sha256)
    assert bucket.has(name)
    assert len(bucket.names()) == 3
    assert as_doctor.get(f"/readings/{stored.pk}/film/?size=original").content == film_bytes
    assert as_doctor.get(f"/readings/{stored.pk}/film/").status_code == 200


def test_films_are_served_through_permission_and_record_only(
    stored, as_doctor, as_other_doctor, object_store
):
    url, _objects = object_store
    address = f"/readings/{stored.pk}/film/"
    assert as_other_doctor.get(address).status_code == 404
    before = AuditEntry.objects.filter(what="film").count()
    response = as_doctor.get(address)
    assert AuditEntry.objects.filter(what="film").count() == before + 1
    page = as_doctor.get(f"/readings/{stored.pk}/")
    for shown in (response, page):
        everything = shown.content + str(shown.headers).encode()
        assert url.encode() not in everything
        assert BUCKET.encode() not in everything
        assert b"X-Amz-" not in everything


@pytest.mark.parametrize("alias", ["films", "default"])
def test_stored_files_have_no_address(bucket, alias):
    with pytest.raises(ValueError, match="Serve them through a view"):
        storages[alias].url("original/ab/abc")


def test_a_damaged_film_is_never_shown_and_heals(
    stored, bucket, as_doctor, as_other_doctor, film_bytes, caplog
):
    name = storage.original_name(stored.film_sha256)
    bucket.write(name, film_bytes[:-1] + bytes([film_bytes[-1] ^ 1]))
    assert not has_film(stored)
    assert as_doctor.get(f"/readings/{stored.pk}/film/?size=original").status_code == 503
    assert "missing or altered" in caplog.text
    post_film(as_other_doctor, film_bytes)
    assert original_film(stored) == film_bytes


def test_a_damaged_rendering_is_made_again(stored, bucket, caplog):
    good = film_rendering(stored, max_side=VIEWER_SIDE)
    bucket.write(storage.rendering_name(stored.film_sha256, VIEWER_SIDE), good[:100])
    assert film_rendering(stored, max_side=VIEWER_SIDE) == good
    assert "is made again" in caplog.text


def test_the_film_is_stored_before_the_row(
    bucket, active_model, as_doctor, film_bytes, monkeypatch
):
    """And stays if the row cannot be stored: the commit may have succeeded."""
    seen = []
    real_save = Reading.save

    def save(self, *args, **kwargs):
        seen.append(bucket.has(storage.original_name(self.film_sha256)))
        real_save(self, *args, **kwargs)
        raise RuntimeError("the connection broke")

    monkeypatch.setattr(Reading, "save", save)
    with pytest.raises(RuntimeError):
        post_film(as_doctor, film_bytes)
    assert seen == [True]
    assert len(bucket.names("original")) == 1
    assert storage.films().find(f"original/{_only(bucket)}").is_confirmed is False


def _only(bucket) -> str:
    (digest,) = bucket.names("original")
    return f"{digest[:2]}/{digest}"


def test_an_unreachable_bucket_is_named(stored, unreachable, as_doctor, film_bytes):
    unreachable()
    (found,) = readiness.outcomes(["films"])
    assert found.code == "unreachable"
    assert "The storage for X-rays cannot be written to." in (
        as_doctor.get("/readings/new/").content.decode()
    )
    assert as_doctor.get(f"/readings/{stored.pk}/film/?size=original").status_code == 503
    assert Reading.objects.count() == 1
    assert [error.id for error in deploy_checks.media_can_be_written(None)] == ["xraysite.E003"]


@pytest.mark.parametrize(
    ("status", "code", "number"),
    [
        (403, "AccessDenied", errno.EACCES),
        (507, "XMinioStorageFull", errno.ENOSPC),
        (500, "InternalError", errno.EHOSTUNREACH),
        (404, "NoSuchBucket", errno.EHOSTUNREACH),
    ],
)
def test_errors_become_those_of_a_disk(bucket, monkeypatch, status, code, number):
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}

    def refuse(*args: object, **kwargs: object) -> None:
        raise ClientError(answer, "PutObject")

    films = storages["films"]
    monkeypatch.setattr(films.connection.meta.client, "_make_api_call", refuse)
    with pytest.raises(OSError, match=r".") as error:
        films.save("original/ab/x", ContentFile(b"x"))
    assert error.value.errno == number


def test_missing_films_are_missing_files(bucket):
    assert storage.read("original/ab/none") is None
    assert storage.films().find("original/ab/none") is None
    storage.remove(["original/ab/none"])


def test_a_rejected_half_of_the_credentials(monkeypatch, bucket):
    monkeypatch.delenv("S3_SECRET_ACCESS_KEY")
    with pytest.raises(ImproperlyConfigured, match="Set both"):
        env.bucket_storages()
    monkeypatch.delenv("S3_BUCKET")
    with pytest.raises(ImproperlyConfigured, match="Set S3_BUCKET"):
        env.bucket_storages()


def test_images_are_in_the_bucket_too(
    bucket, object_store, doctor, as_doctor, django_capture_on_commit_callbacks
):
    _url, objects = object_store
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            avatars.change_avatar(user=doctor, data=board.picture(size=(64, 64)))
        assert [key.rpartition("/")[0] for key in objects] == ["files/avatars"]
    assert as_doctor.get(f"/accounts/{doctor.pk}/avatar/").status_code == 200


def test_office_shows_no_disk(stored, as_supervisor):
    assert office._storage() is None
    assert as_supervisor.get("/admin/").status_code == 200


def test_purging_leaves_nothing_in_the_bucket(
    stored, bucket, object_store, supervisor, django_capture_on_commit_callbacks
):
    from diagnosis import retention

    retention.hide_reading(doctor=stored.doctor, reading_id=stored.pk, reason="MISTAKE")
    with django_capture_on_commit_callbacks(execute=True):
        retention.purge_reading(supervisor=supervisor, reading_id=stored.pk, reason="x")
    _url, objects = object_store
    assert [key for key in objects if key.startswith("films/")] == []


def test_a_server_that_does_not_answer_is_not_waited_for_long(bucket, settings, monkeypatch):
    """It accepts connections and says nothing."""
    monkeypatch.setattr(object_storage, "READ_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        settings.STORAGES = settings.STORAGES | env.bucket_storages()
        start = time.monotonic()
        with pytest.raises(OSError, match="ReadTimeoutError") as error:
            storage.read("original/ab/x")
    assert error.value.errno == errno.EHOSTUNREACH
    assert time.monotonic() - start < 10
    assert object_storage.CONNECT_TIMEOUT_S * object_storage.ATTEMPTS < 5
