"""Public pages, headers, health check and system checks."""

import re
import subprocess
import sys

import pytest
from django.core import checks
from django.db import OperationalError

from mlcore.models import ModelVersion
from xraysite import checks as site_checks

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("language", ["en", "zh-hant"])
@pytest.mark.parametrize("address", ["/", "/about/", "/accounts/login/"])
def test_public_pages_in_both_languages(client, active_model, address, language):
    page = client.get(address, headers={"accept-language": language})
    assert page.status_code == 200
    assert f'lang="{language}"'.lower() in page.content.decode().lower()


def test_language_can_be_switched(client, active_model):
    for language, words in (("en", "pneumonia"), ("zh-hant", "肺炎"), ("en", "pneumonia")):
        response = client.post("/i18n/set/", {"language": language, "next": "/about/"})
        assert response.headers["Location"] == "/about/"
        page = client.get("/about/").content.decode()
        assert f'<html lang="{language}"' in page
        assert words in page.split("<main")[1]


def test_security_headers(client, active_model):
    response = client.get("/")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in response.headers["Permissions-Policy"]


@pytest.mark.parametrize("address", ["/", "/about/", "/accounts/login/"])
def test_public_pages_have_no_inline_code_or_external_resources(client, active_model, address):
    page = client.get(address).content.decode()
    # A block of JSON data is not executed.
    assert not re.search(r'<script(?![^>]*(?:\bsrc=|type="application/json"))', page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page.split("<footer")[0])


def test_alive_without_a_model_or_a_database(client, monkeypatch):
    def gone(*arguments: object, **options: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", gone)
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_home_page_counts_own_readings(reading, as_doctor, as_other_doctor):
    for browser, n in ((as_doctor, 1), (as_other_doctor, 0)):
        work = browser.get("/").context["work"]
        assert [work[name] for name in ("today", "total", "waiting", "unread")] == [n] * 4


def test_private_media_in_a_served_folder_is_an_error(settings):
    settings.PRIVATE_MEDIA_ROOT = settings.STATIC_ROOT / "films"
    assert [e.id for e in site_checks.private_media_is_not_served(None)] == ["xraysite.E001"]


def test_per_process_cache_gives_a_warning(settings):
    assert [w.id for w in site_checks.cache_is_shared(None)] == ["xraysite.W001"]
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"}
    }
    assert [w.id for w in site_checks.cache_is_shared(None)] == ["xraysite.W002"]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache"}}
    assert site_checks.cache_is_shared(None) == []


def test_damaged_active_model_is_an_error(active_model):
    assert checks.run_checks(tags=[checks.Tags.database], databases=["default"]) == []
    ModelVersion.objects.update(path="pneumonia-none")
    errors = site_checks.active_model_is_whole(None, databases=["default"])
    assert [error.id for error in errors] == ["xraysite.E002"]


def test_port_in_use_is_reported(unused_tcp_port_holder):
    port = unused_tcp_port_holder
    run = subprocess.run(
        [sys.executable, "-m", "xraysite.run", "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert f"127.0.0.1:{port} cannot be used" in run.stderr
    assert f"make run PORT={port + 1}" in run.stderr


@pytest.fixture
def unused_tcp_port_holder():
    """A port that is in use."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]
