"""Idle sessions end, and staff sessions end after a shift."""

import datetime
import time

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.test import Client

from accounts.models import AuditEntry
from tests.conftest import give_two_factor_code
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory
from xraysite.common import clocks

pytestmark = pytest.mark.django_db
START = datetime.datetime(2026, 3, 2, 1, tzinfo=datetime.UTC)


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def sign_in(user, **fields: str) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD} | fields)
    if user.is_staff:
        give_two_factor_code(client, user)
    return client


def advance(clock, **span: int) -> None:
    clock.shift(datetime.timedelta(**span))


def test_idle_session_ends_and_active_session_continues(clock, active_model):
    browser = sign_in(DoctorFactory())
    for _ in range(5):
        advance(clock, minutes=29)
        assert browser.get("/readings/").status_code == 200
    advance(clock, minutes=31)
    response = browser.get("/readings/?q=x")
    assert response.headers["Location"] == "/accounts/login/?next=/readings/%3Fq%3Dx"
    assert "_auth_user_id" not in browser.session
    row = AuditEntry.objects.get(what="session-over")
    assert row.actor is not None


def test_remembered_session_ends_when_idle(clock, active_model):
    browser = sign_in(DoctorFactory(), remember="on")
    assert browser.session.get_expire_at_browser_close() is False
    advance(clock, minutes=31)
    assert browser.get("/readings/").status_code == 302


def set_back(monkeypatch, *, uptime: float | None, **span: int) -> None:
    """Set the clock back; `uptime` seconds pass meanwhile, or None: the machine restarted."""
    now, up = time.time(), clocks.uptime()
    monkeypatch.setattr(time, "time", lambda: now - datetime.timedelta(**span).total_seconds())
    monkeypatch.setattr(clocks, "uptime", lambda: up + (uptime or 0))
    if uptime is None:
        monkeypatch.setattr(clocks, "boot_id", lambda: "another start")


def test_session_ends_on_time_after_the_clock_was_set_back(active_model, settings, monkeypatch):
    settings.SESSION_IDLE_SECONDS = 60
    browser = sign_in(DoctorFactory())
    set_back(monkeypatch, uptime=59, hours=2)
    assert browser.get("/accounts/session/").json()["seconds_left"] == 1
    assert browser.get("/readings/").status_code == 200
    set_back(monkeypatch, uptime=61, hours=1)
    assert browser.get("/readings/").status_code == 302


def test_active_session_is_prolonged_although_the_clock_was_set_back(active_model, monkeypatch):
    browser = sign_in(DoctorFactory())
    set_back(monkeypatch, uptime=29 * 60, hours=2)
    for _ in range(3):
        assert browser.get("/readings/").status_code == 200
        set_back(monkeypatch, uptime=29 * 60, seconds=0)


def test_session_from_the_future_ends_after_a_restart(active_model, monkeypatch):
    """Nobody knows how long ago it was used."""
    browser = sign_in(DoctorFactory())
    set_back(monkeypatch, uptime=None, hours=2)
    assert browser.get("/readings/").status_code == 302


def test_small_correction_of_the_clock_ends_no_session(active_model, monkeypatch):
    browser = sign_in(DoctorFactory())
    set_back(monkeypatch, uptime=None, seconds=30)
    assert browser.get("/readings/").status_code == 200


def test_session_of_an_earlier_version_goes_on(active_model):
    browser = sign_in(DoctorFactory())
    session = browser.session
    session["session_seen"] = session["session_since"] = time.time() - 60
    session.save()
    assert browser.get("/readings/").status_code == 200


def test_session_ends_with_the_browser_unless_remembered(active_model):
    assert sign_in(DoctorFactory()).session.get_expire_at_browser_close() is True


def test_idle_time_is_a_setting(clock, active_model, settings):
    settings.SESSION_IDLE_SECONDS = 120
    browser = sign_in(DoctorFactory())
    advance(clock, seconds=119)
    assert browser.get("/readings/").status_code == 200
    advance(clock, seconds=121)
    assert browser.get("/readings/").status_code == 302


def test_staff_session_ends_after_eight_hours(clock, active_model):
    browser, doctor = sign_in(SupervisorFactory()), sign_in(DoctorFactory())
    for _ in range(32):
        advance(clock, minutes=14, seconds=50)
        assert browser.get("/admin/").status_code == 200
        assert doctor.get("/readings/").status_code == 200
    advance(clock, minutes=10)
    assert browser.get("/admin/").status_code == 302
    assert "_auth_user_id" not in browser.session
    assert doctor.get("/readings/").status_code == 200


def test_asking_for_the_time_left_does_not_extend_the_session(clock, active_model):
    browser = sign_in(DoctorFactory())
    advance(clock, minutes=28)
    answer = browser.get("/accounts/session/").json()
    assert answer["signed_in"] is True
    assert answer["seconds_left"] == 120
    assert answer["can_stay"] is True
    stayed = browser.post("/accounts/session/stay/").json()
    assert stayed["seconds_left"] == 1800
    advance(clock, minutes=29)
    assert browser.get("/accounts/session/").json()["seconds_left"] == 60
    advance(clock, minutes=2)
    assert browser.get("/accounts/session/").json() == {"signed_in": False}


def test_staff_are_told_that_the_session_cannot_be_extended(clock, active_model):
    browser = sign_in(SupervisorFactory())
    for _ in range(17):
        advance(clock, minutes=28)
        browser.get("/admin/")
    answer = browser.get("/accounts/session/").json()
    assert answer["can_stay"] is False
    assert answer["seconds_left"] == 4 * 60


def test_anonymous_user_gets_no_session_details(client):
    assert client.get("/accounts/session/").json() == {"signed_in": False}
    for method in (client.get, client.post):
        answer = method("/accounts/session/stay/")
        assert answer.headers["Location"].startswith("/accounts/login/")


def test_last_use_is_stored_at_most_once_per_minute(clock, active_model):
    browser = sign_in(DoctorFactory())
    first = UserSession.objects.get().last_seen_at
    advance(clock, seconds=30)
    browser.get("/readings/")
    assert UserSession.objects.get().last_seen_at == first
    advance(clock, seconds=31)
    browser.get("/readings/")
    assert UserSession.objects.get().last_seen_at == START + datetime.timedelta(seconds=61)


def test_new_password_ends_other_sessions(active_model):
    doctor = DoctorFactory()
    browser, other = sign_in(doctor), sign_in(doctor)
    new = "another very long one"
    done = browser.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": new, "password2": new},
    )
    assert done.status_code == 302
    assert browser.get("/readings/").status_code == 200
    assert other.get("/readings/").status_code == 302
