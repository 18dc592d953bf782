"""A full, read-only or locked storage: its own page and log line, and nothing lost."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.files import uploadedfile
from django.core.files.storage import storages
from django.db import OperationalError, connection, connections
from django.test import Client

from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.models import Reading
from diagnosis.services import pending
from diagnosis.services.films import THUMBNAIL_SIDE, VIEWER_SIDE
from tests.conftest import post_film, upload_of
from tests.diagnosis.checking import checked, dicom
from tests.factories import PASSWORD, DoctorFactory
from tests.films import encode, synthetic_film
from xraysite.common import faults
from xraysite.settings import base

on_sqlite = pytest.mark.skipif(
    not django_settings.DATABASES["default"]["ENGINE"].endswith("sqlite"),
    reason="makes SQLite fail",
)
STATES = [
    (errno.ENOSPC, "storage-full", "storage is full"),
    (errno.EROFS, "storage-read-only", "storage cannot be written"),
    (errno.EACCES, "storage-read-only", "storage cannot be written"),
]


@pytest.fixture
def refuse_to_write(monkeypatch):
    """Let every new temporary file fail, as on a full or read-only volume."""

    def start(number: int) -> None:
        def fail(*args, **kwargs):
            raise OSError(number, os.strerror(number), "/private")

        monkeypatch.setattr(tempfile, "mkstemp", fail)
        monkeypatch.setattr(uploadedfile.tempfile, "NamedTemporaryFile", fail)

    return start


def films() -> dict[str, bytes]:
    root = Path(storages["films"].path(""))
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("number", "code", "words"), STATES)
def test_a_film_that_was_never_viewed_is_served(
    number, code, words, reading, as_doctor, refuse_to_write, caplog
):
    for side in (VIEWER_SIDE, THUMBNAIL_SIDE):
        storages["films"].delete(storage.rendering_name(reading.film_sha256, side))
    refuse_to_write(number)
    for size in ("", "?size=thumb", "?size=original"):
        assert as_doctor.get(f"/readings/{reading.pk}/film/{size}").status_code == 200
    assert as_doctor.get(f"/readings/{reading.pk}/").status_code == 200
    assert "are not stored" in caplog.text


@pytest.mark.parametrize("by_script", [False, True])
@pytest.mark.parametrize(("number", "code", "words"), STATES)
def test_an_upload_keeps_what_was_typed(
    number, code, words, by_script, active_model, as_doctor, film_bytes, refuse_to_write, caplog
):
    refuse_to_write(number)
    if by_script:
        as_doctor.defaults["HTTP_X_REQUESTED_WITH"] = "XMLHttpRequest"
    response = post_film(as_doctor, film_bytes)
    page = response.content.decode()
    assert response.status_code == (422 if by_script else 503)
    assert words in page
    assert "陳小明" in page
    assert f"{code}: an X-ray cannot be stored" in caplog.text
    assert Reading.objects.count() == 0
    assert films() == {}


@pytest.mark.parametrize("page", ["/readings/new/", "/readings/new/inspect/"])
def test_an_upload_too_large_for_memory_says_so_too(
    page, active_model, as_doctor, refuse_to_write, caplog
):
    large = encode(synthetic_film("NORMAL", seed=1, size=2000), "bmp")
    assert len(large) > django_settings.FILE_UPLOAD_MAX_MEMORY_SIZE
    refuse_to_write(errno.ENOSPC)
    if page == "/readings/new/":
        response = post_film(as_doctor, large)
        assert "陳小明" in response.content.decode()
    else:
        response = as_doctor.post(page, {"film": upload_of(large)})
    assert response.status_code in (422, 503)
    assert "storage is full" in response.content.decode()
    assert "storage-full: an upload cannot be written" in caplog.text


def test_an_upload_that_fills_the_disk_leaves_no_temporary_file(
    active_model, as_doctor, monkeypatch, tmp_path, settings
):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    large = encode(synthetic_film("NORMAL", seed=1, size=2000), "bmp")

    def full(self, *args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploadedfile.TemporaryUploadedFile, "write", full, raising=False)
    response = post_film(as_doctor, large)
    assert "storage is full" in response.content.decode()
    assert list(tmp_path.iterdir()) == []


def test_a_decided_upload_waits_until_there_is_space(
    active_model, as_doctor, monkeypatch, refuse_to_write
):
    with monkeypatch.context() as patch:
        patch.setattr(storages["films"], "save", _full)
        response = post_film(as_doctor, dicom(patient_name="Lin^Hao"))
        assert response.status_code == 503
        assert "storage is full" in response.content.decode()
        assert films() == {}
    location = checked(as_doctor, dicom(patient_name="Lin^Hao"))
    kept = films()
    decision = {
        "name_choice": "form", "header": "wrong", "header_reason": "x", "patient_name": "form",
    }  # fmt: skip
    refuse_to_write(errno.ENOSPC)
    as_doctor.post(location, decision)
    assert films() == kept
    assert Reading.objects.count() == 0


def _full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_upload_that_cannot_be_removed_does_not_hide_the_reading(
    active_model, doctor, monkeypatch, caplog
):
    monkeypatch.setattr(storages["films"], "delete", _full)
    pending.remove(doctor, "8cf605ab-1eae-44b7-b1cf-26c5974db109")
    assert "cannot be removed yet" in caplog.text


# The database


@pytest.fixture
def page_request(shipped_bundle, transactional_db, settings):
    """A browser at the sign-in page of a site with its own rate limits and cache."""
    settings.ACCOUNT_RATE_LIMITS = base.ACCOUNT_RATE_LIMITS
    settings.CACHES = base.CACHES
    account = DoctorFactory()

    def sign_in():
        browser = Client(headers={"accept-language": "en"}, raise_request_exception=False)
        return browser.post("/accounts/login/", {"login": account.email, "password": PASSWORD})

    yield sign_in
    connection.close()


@on_sqlite
def test_a_locked_database_is_not_too_many_attempts(page_request, caplog):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 100")
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
    response = page_request()
    other.close()
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "10"
    assert "The database is busy" in response.content.decode()
    assert "database-locked: POST /accounts/login/" in caplog.text
    assert page_request().status_code == 302


@on_sqlite
@pytest.mark.parametrize(
    ("pragma", "code", "words"),
    [
        ("max_page_count = 1", "database-full", "The database&#x27;s disk is full"),
        ("query_only = ON", "database-read-only", "The database cannot be written"),
    ],
)
def test_a_database_that_cannot_be_written_is_not_too_many_attempts(
    pragma, code, words, page_request, caplog
):
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {pragma}")
        for number in range(400):  # fill the free pages, if it may be written at all
            if pragma.startswith("query"):
                break
            try:
                cursor.execute(f"CREATE TABLE filler_{number} (a)")
            except OperationalError:
                break
    for _ in range(200):  # pages that are partly filled have room for a few more sign-ins
        entries = AuditEntry.objects.count()
        response = page_request()
        if response.status_code == 503:
            break
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "300"
    assert words in response.content.decode()
    assert f"{code}: POST /accounts/login/" in caplog.text
    assert AuditEntry.objects.count() == entries
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")
        cursor.execute("PRAGMA query_only = OFF")
        for number in range(400):
            cursor.execute(f"DROP TABLE IF EXISTS filler_{number}")
    assert page_request().status_code == 302


def test_the_strict_cache_keeps_djangos_contract(page_request):
    cache = caches["default"]
    assert cache.add("a", 1, 60)
    assert not cache.add("a", 2, 60)
    assert cache.get("a") == 1
    cache.set("a", 3, 60)
    assert cache.touch("a", 60)
    assert not cache.touch("b", 60)
    assert cache.get("a") == 3


class ReplyError(Exception):
    """An error as psycopg raises it."""

    __module__ = "psycopg.errors"

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("53100", faults.DATABASE_FULL),
        ("25006", faults.DATABASE_READ_ONLY),
        ("55P03", faults.DATABASE_LOCKED),
        ("57P01", faults.DATABASE_UNREACHABLE),
        ("53300", faults.DATABASE_UNREACHABLE),
        ("42P01", None),
    ],
)
def test_postgresql_states_are_told_apart(state, fault):
    error = OperationalError("the server's message, in any language")
    error.__cause__ = ReplyError(state)
    assert faults.fault_of(error) == fault


def test_other_errors_are_no_faults():
    for error in (ValueError("database is locked"), OSError(errno.ENOENT, "gone"), KeyError()):
        assert faults.fault_of(error) is None
    nested = RuntimeError("outer")
    nested.__cause__ = OSError(errno.EDQUOT, "quota")
    assert faults.fault_of(nested) == faults.STORAGE_FULL


def test_an_error_while_a_fault_is_explained_is_an_error_of_its_own():
    error = ValueError("no template")
    error.__context__ = OSError(errno.ENOSPC, "full")
    assert faults.fault_of(error) is None
