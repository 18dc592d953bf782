"""Logs: a line and an id for each request, as JSON if wanted, and no patient's details."""

import io
import json
import logging
import re

import pytest
from django.conf import settings as site_settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError
from django.test import Client

from diagnosis import retention
from diagnosis.models import Reading
from tests.conftest import post_film
from xraysite.common import env
from xraysite.common.log_format import JSONFormatter, PlainFormatter

pytestmark = pytest.mark.django_db
NAME, NUMBER, NOTE = "歐陽測試人", "ZX98123QP", "a very private note"


@pytest.fixture(params=["plain", "json"])
def log(request):
    """The log of the site at INFO, as text."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formats = site_settings.LOG_FORMATTERS
    handler.setFormatter(
        JSONFormatter() if request.param == "json" else PlainFormatter(formats["plain"]["format"])
    )
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    stream.format = request.param
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(log) -> list[dict]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_whole_story_leaves_no_patient_in_the_log(
    log, as_doctor, as_supervisor, as_other_doctor, doctor, active_model, film_bytes, monkeypatch
):
    mine = {"patient_name": NAME, "patient_number": NUMBER}
    as_doctor.get("/readings/new/")
    post_film(as_doctor, b"no film", **mine)
    post_film(as_doctor, film_bytes, **mine)
    reading = Reading.objects.get()
    for part in ("", "film/", "heatmap/", "report/", "edit/", "delete/", "share/"):
        as_doctor.get(f"/readings/{reading.pk}/{part}")
        as_other_doctor.get(f"/readings/{reading.pk}/{part}")
    as_doctor.post(f"/readings/{reading.pk}/review/", {"verdict": "NORMAL", "note": NOTE})
    as_doctor.get("/readings/", {"q": NAME}, follow=True)
    as_doctor.get(f"/readings/{NAME}/")
    as_doctor.get(f"/{NUMBER}/{NAME}")
    for page in ("/admin/diagnosis/reading/", "/admin/who-saw/", "/admin/accounts/auditentry/"):
        as_supervisor.get(page, {"q": NAME}, follow=True)
        as_supervisor.get(page, {"q": NUMBER}, follow=True)
    b"".join(as_supervisor.get("/admin/diagnosis/reading/export/").streaming_content)
    as_supervisor.get(f"/admin/diagnosis/reading/?created_at__year=99999999999999999999&q={NAME}")
    as_supervisor.get(f"/admin/r/1/{NAME}/")
    client = Client()
    client.post("/accounts/password/reset/", {"email": doctor.email})
    link = re.search(r"https?://testserver(\S+)", mail.outbox[-1].body)[1]
    client.get(link)

    def refused(*arguments: object, **options: object) -> None:
        raise IntegrityError(f"null value\nDETAIL:  Failing row contains ({NAME}, {NUMBER}).")

    monkeypatch.setattr(retention, "hide_reading", refused)
    as_doctor.raise_request_exception = False
    failed = as_doctor.post(f"/readings/{reading.pk}/delete/", {"reason": "MISTAKE"})
    assert failed.status_code == 500
    text = log.getvalue()
    assert "Internal Server Error: readings/<uuid:pk>/delete/" in text
    assert "django.db.utils.IntegrityError" in text, "the fault itself is in the log"
    assert text.count("readings:") > 10
    for secret in (NAME, NUMBER, NOTE, link, link.rsplit("-", 1)[-1], doctor.email):
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text


def test_each_request_has_an_id_that_its_lines_carry(log, client, active_model):
    answers = [client.get(path) for path in ("/about/", "/nowhere/", "/healthz")]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
    for each in ids:
        assert log.getvalue().count(each) == 1


def test_an_id_sent_by_the_client_is_not_used(log, client):
    answer = client.get("/healthz", headers={"x-request-id": "1\n{forged}"})
    assert "forged" not in answer.headers["X-Request-ID"]
    assert "forged" not in log.getvalue()


def test_a_line_of_json_says_what_was_asked(log, as_doctor, doctor, reading):
    if log.format != "json":
        pytest.skip("Plain text is for people.")
    log.truncate(0)
    log.seek(0)
    as_doctor.get(f"/readings/{reading.pk}/")
    (line,) = [each for each in lines(log) if each["logger"] == "xraysite.access"]
    assert line["page"] == "readings:detail"
    assert line["pattern"] == "readings/<uuid:pk>/"
    assert (line["method"], line["status"], line["level"]) == ("GET", 200, "INFO")
    assert (line["account"], line["address"]) == (doctor.pk, "127.0.0.1")
    assert line["milliseconds"] > 0
    assert line["time"].endswith("+00:00")
    assert str(reading.pk) not in json.dumps(line)


def test_an_exception_is_one_line_of_json(log):
    if log.format != "json":
        pytest.skip("Plain text is for people.")
    try:
        raise RuntimeError("two\nlines") from ValueError(NAME)
    except RuntimeError:
        logging.getLogger("xraysite").exception("It failed: %s", "x\ny")
    (line,) = lines(log)
    assert line["message"] == "It failed: x\ny"
    assert line["exception"].endswith("RuntimeError: two\nlines")
    assert "ValueError" in line["exception"]
    assert NAME not in line["exception"]
    assert "test_request_log.py" in line["exception"]


def test_an_unknown_format_is_refused(monkeypatch):
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="must be one of plain, json"):
        env.choice("LOG_FORMAT", choices=["plain", "json"], default="plain")
    monkeypatch.delenv("LOG_FORMAT")
    assert env.choice("LOG_FORMAT", choices=["plain", "json"], default="plain") == "plain"
