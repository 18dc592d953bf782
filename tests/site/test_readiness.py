"""Readiness: what is really tried, who is told what, and what it costs."""

import datetime
import errno
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import time_machine
from django.conf import settings as site_settings
from django.contrib.sessions.models import Session
from django.core.files.storage import storages
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.audit import anchoring, recording
from accounts.readiness import PROBE_KEY
from mlcore import registry
from tests.factories import DoctorFactory
from xraysite.common import readiness

pytestmark = pytest.mark.django_db
CHECKS = {
    "database", "database_space", "films", "films_space", "model", "decoders", "clock",
    "queue", "audit_log",
}  # fmt: skip
SHIPPED = Path(site_settings.SHIPPED_BUNDLE_DIR) / site_settings.SHIPPED_MODEL


def why(client, name: str) -> str:
    """Return why a check fails, as everybody is told; "" if it does not."""
    readiness.forget()
    response = client.get("/readyz")
    checks = response.json()["checks"]
    assert set(checks) == CHECKS
    assert (response.status_code == 200) == all(
        checks[each]["ok"] for each in CHECKS - {"audit_log", "queue"}
    )
    assert "/" not in response.content.decode(), "no path for everybody"
    assert checks[name]["ok"] == ("why" not in checks[name])
    return str(checks[name].get("why", ""))


def test_ready(client, active_model):
    response = client.get("/readyz")
    assert response.status_code == 200, response.content
    assert response.json() == {"status": "ok", "checks": {name: {"ok": True} for name in CHECKS}}
    assert "no-store" in response.headers["Cache-Control"]


def test_without_a_model(client):
    assert why(client, "model") == "inactive"


@pytest.fixture
def own_bundle(active_model, settings, tmp_path):
    """A copy of the active bundle, which may be damaged."""
    settings.BUNDLE_DIR = tmp_path
    return Path(shutil.copytree(SHIPPED, tmp_path / SHIPPED.name))


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.iterdir()))
def test_a_damaged_bit_in_any_file_of_the_bundle(client, own_bundle, name, loaded):
    if loaded:
        assert why(client, "model") == ""
    content = bytearray((own_bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_bundle / name).write_bytes(content)
    if not loaded:
        registry.forget_loaded()  # as in a process that starts now
    assert why(client, "model") == "damaged"
    shutil.copy(SHIPPED / name, own_bundle / name)
    assert why(client, "model") == ""


@pytest.mark.parametrize("loaded", [True, False])
def test_a_bundle_that_is_gone(client, as_doctor, own_bundle, settings, loaded):
    settings.SHIPPED_BUNDLE_DIR = own_bundle.parent / "none"
    if loaded:
        assert why(client, "model") == ""
    shutil.rmtree(own_bundle)
    if not loaded:
        registry.forget_loaded()
    assert why(client, "model") == "missing"
    if not loaded:
        page = as_doctor.get("/readings/new/")
        assert page.status_code == 503
        assert (
            "The active model&#x27;s files are missing from this server." in page.content.decode()
        )
    registry.forget_loaded()


def test_a_model_whose_answers_changed(client, active_model, monkeypatch):
    version = registry.active_version()
    loaded = registry.loaded_version(version)
    monkeypatch.setattr(type(loaded.pipeline), "run", lambda self, film: 1 / 0)
    assert why(client, "model") in ("error", "damaged")


def refusing(code: int):
    def save(*arguments: object, **options: object) -> None:
        raise OSError(code, "no")

    return save


@pytest.mark.parametrize(
    ("code", "said", "shown"),
    [
        (errno.ENOSPC, "full", "The storage is full"),
        (errno.EROFS, "read-only", "storage for X-rays cannot be written to"),
        (errno.EIO, "unreachable", "storage for X-rays cannot be written to"),
    ],
)
def test_a_film_storage_that_cannot_be_written(
    client, as_doctor, active_model, monkeypatch, code, said, shown
):
    assert as_doctor.get("/readings/new/").status_code == 200
    monkeypatch.setattr("diagnosis.film_storage.write_atomically", refusing(code))
    assert why(client, "films") == said
    page = as_doctor.get("/readings/new/")
    assert page.status_code == 503
    assert shown in page.content.decode()
    assert 'type="file"' not in page.content.decode(), "nothing can be sent"
    assert "Earlier readings remain available" in page.content.decode()


def test_a_film_storage_that_returns_something_else(client, active_model, monkeypatch):
    storage = storages["films"]
    kept = storage._save

    def damaged(name, content):
        return kept(name, type(content)(b"x" + content.read()[1:]))

    monkeypatch.setattr(type(storage), "_save", lambda self, name, content: damaged(name, content))
    assert why(client, "films") == "altered"


def test_the_try_leaves_no_file(client, active_model):
    assert why(client, "films") == ""
    root = Path(storages["films"].path(""))
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_too_little_space(client, as_doctor, active_model, settings):
    settings.MIN_FREE_BYTES = 2**60
    assert why(client, "films_space") == "full"
    page = as_doctor.get("/readings/new/").content.decode()
    assert "The storage is full" in page


def test_a_database_that_cannot_be_written(client, as_doctor, active_model):
    if connection.vendor != "sqlite":
        pytest.skip("The connection is made read-only as SQLite does it.")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = 1")
        try:
            assert why(client, "database") == "read-only"
        finally:
            cursor.execute("PRAGMA query_only = 0")
    assert why(client, "database") == ""


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("database or disk is full", "full"),
        ('could not extend file "base/1": No space left on device', "full"),
        ("cannot execute INSERT in a read-only transaction", "read-only"),
        ("database is locked", "locked"),
        ("connection refused", "unreachable"),
    ],
)
def test_a_failing_database_is_told_apart(client, active_model, monkeypatch, message, said):
    def fails(*arguments: object, **options: object) -> None:
        raise OperationalError(message)

    monkeypatch.setattr(type(Session.objects), "update_or_create", fails)
    assert why(client, "database") == said


def test_without_a_database_there_is_still_an_answer(client, active_model, monkeypatch):
    def gone(*arguments: object, **options: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", gone)
    response = client.get("/readyz")
    assert response.status_code == 503
    checks = response.json()["checks"]
    assert checks["database"] == {"ok": False, "why": "unreachable"}
    assert checks["films"] == {"ok": True}
    assert not checks["model"]["ok"]


def test_the_try_is_committed_and_no_session(client, active_model):
    assert why(client, "database") == ""
    first = Session.objects.get(session_key=PROBE_KEY)
    assert why(client, "database") == ""
    assert Session.objects.get(session_key=PROBE_KEY).session_data != first.session_data
    client.cookies[site_settings.SESSION_COOKIE_NAME] = PROBE_KEY
    assert client.get("/readings/").headers["Location"].startswith("/accounts/login/")
    assert Session.objects.filter(expire_date__gt=timezone.now()).count() == 0


def test_a_clock_that_was_set_back(client, active_model, doctor, settings, tmp_path):
    recording.record_access(doctor, what="page")
    assert why(client, "clock") == ""
    with time_machine.travel(timezone.now() - datetime.timedelta(hours=2)):
        assert why(client, "clock") == "back"
    settings.AUDIT_ANCHOR = tmp_path / "anchor"
    anchoring.place(reason="a test")
    assert why(client, "clock") == ""
    seal = "0" * 64
    settings.AUDIT_ANCHOR.write_text(f"1:{seal}\n2099-01-01T00:00:00+00:00\n")
    assert why(client, "clock") == "back"


def test_an_altered_log_is_named_and_puts_nobody_out(client, active_model, settings, tmp_path):
    assert why(client, "audit_log") == ""
    settings.AUDIT_ANCHOR = tmp_path / "anchor"
    assert why(client, "audit_log") == "anchor"
    anchoring.place(reason="a test")
    assert why(client, "audit_log") == ""
    settings.AUDIT_ANCHOR.write_text(f"1:{'0' * 64}\n2026-01-01T00:00:00+00:00\n")
    assert why(client, "audit_log") == "altered"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_audithead SET sequence = 0, seal = '', own_seal = ''")
    assert why(client, "audit_log") == "altered"


def test_staff_get_the_details(as_supervisor, as_ml_engineer, as_doctor, client, settings):
    settings.MIN_FREE_BYTES = 2**60
    for person, shown in ((as_supervisor, True), (as_ml_engineer, True), (as_doctor, False),
                          (client, False)):  # fmt: skip
        checks = person.get("/readyz").json()["checks"]
        assert ("bytes are free" in checks["films_space"].get("detail", "")) == shown
        assert checks["films_space"]["why"] == "full"


def test_the_office_says_what_to_do(as_supervisor, active_model, settings):
    assert "Needs attention now" not in as_supervisor.get("/admin/").content.decode()
    readiness.forget()
    settings.MIN_FREE_BYTES = 2**60
    page = as_supervisor.get("/admin/").content.decode()
    assert "Needs attention now" in page
    assert "The storage for X-rays is nearly full" in page
    assert "nothing is deleted automatically" in page


def test_an_outcome_counts_for_ten_seconds(client, active_model, monkeypatch):
    tried = []
    monkeypatch.setattr(readiness._CHECKS["films"], "run", lambda: tried.append(1))
    now = time.monotonic()
    monkeypatch.setattr(readiness.time, "monotonic", lambda: now)
    for _ in range(5):
        client.get("/readyz")
    now += 9.9
    client.get("/readyz")
    assert len(tried) == 1
    now += 0.2
    client.get("/readyz")
    assert len(tried) == 2


def test_concurrent_callers_share_one_try():
    tried = []

    def slowly() -> None:
        tried.append(1)
        time.sleep(0.2)

    readiness.register("slow", slowly)
    try:
        with ThreadPoolExecutor(8) as callers:
            found = list(callers.map(lambda _: readiness.outcomes(["slow"]), range(8)))
    finally:
        del readiness._CHECKS["slow"]
    assert len(tried) == 1
    assert all(outcome.is_ok for (outcome,) in found)


def test_a_try_that_hangs_holds_nobody(monkeypatch):
    monkeypatch.setattr(readiness, "WAIT_S", 0.05)
    end = threading.Event()
    readiness.register("hanging", end.wait)
    try:
        hanging = threading.Thread(target=readiness.outcomes, args=[["hanging"]])
        hanging.start()
        while not readiness._CHECKS["hanging"].lock.locked():
            time.sleep(0.01)
        (outcome,) = readiness.outcomes(["hanging"])
        assert outcome.code == "slow"
    finally:
        end.set()
        hanging.join()
        del readiness._CHECKS["hanging"]


def test_a_check_that_breaks_fails_and_is_logged(client, active_model, monkeypatch, caplog):
    monkeypatch.setattr(readiness._CHECKS["films"], "run", lambda: 1 / 0)
    assert why(client, "films") == "error"
    assert "ZeroDivisionError" in caplog.text


def test_a_pending_account_may_ask(active_model):
    from tests.conftest import signed_in

    person = DoctorFactory(approval="PENDING")
    assert signed_in(person).get("/readyz").status_code == 200
