"""Sessions expire: after inactivity, and for staff after a maximum duration."""

import datetime

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.test import Client

from accounts.models import AuditEntry
from tests.conftest import give_second_factor
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory

pytestmark = pytest.mark.django_db
START = datetime.datetime(2026, 3, 2, 1, tzinfo=datetime.UTC)


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def enter(user, **fields: str) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD} | fields)
    if user.is_staff:
        give_second_factor(client, user)
    return client


def later(clock, **span: int) -> None:
    clock.shift(datetime.timedelta(**span))


def test_an_active_session_continues_and_an_inactive_one_ends(clock, active_model):
    browser = enter(DoctorFactory())
    for _ in range(5):
        later(clock, minutes=29)
        assert browser.get("/readings/").status_code == 200
    later(clock, minutes=31)
    response = browser.get("/readings/?q=x")
    assert response.headers["Location"] == "/accounts/login/?next=/readings/%3Fq%3Dx"
    assert "_auth_user_id" not in browser.session
    row = AuditEntry.objects.get(what="session-over")
    assert row.actor is not None


def test_remembering_does_not_keep_an_unused_session(clock, active_model):
    browser = enter(DoctorFactory(), remember="on")
    assert browser.session.get_expire_at_browser_close() is False
    later(clock, minutes=31)
    assert browser.get("/readings/").status_code == 302


def test_without_remembering_the_session_ends_with_the_browser(active_model):
    assert enter(DoctorFactory()).session.get_expire_at_browser_close() is True


def test_the_timeout_is_configurable(clock, active_model, settings):
    settings.SESSION_IDLE_SECONDS = 120
    browser = enter(DoctorFactory())
    later(clock, seconds=119)
    assert browser.get("/readings/").status_code == 200
    later(clock, seconds=121)
    assert browser.get("/readings/").status_code == 302


def test_staff_must_sign_in_again_after_eight_hours(clock, active_model):
    browser, doctor = enter(SupervisorFactory()), enter(DoctorFactory())
    for _ in range(32):
        later(clock, minutes=14, seconds=50)
        assert browser.get("/admin/").status_code == 200
        assert doctor.get("/readings/").status_code == 200
    later(clock, minutes=10)
    assert browser.get("/admin/").status_code == 302
    assert "_auth_user_id" not in browser.session
    assert doctor.get("/readings/").status_code == 200


def test_asking_for_the_time_left_does_not_extend_the_session(clock, active_model):
    browser = enter(DoctorFactory())
    later(clock, minutes=28)
    answer = browser.get("/accounts/session/").json()
    assert answer["signed_in"] is True
    assert answer["seconds_left"] == 120
    assert answer["can_stay"] is True
    stayed = browser.post("/accounts/session/stay/").json()
    assert stayed["seconds_left"] == 1800
    later(clock, minutes=29)
    assert browser.get("/accounts/session/").json()["seconds_left"] == 60
    later(clock, minutes=2)
    assert browser.get("/accounts/session/").json() == {"signed_in": False}


def test_staff_are_told_that_the_session_cannot_be_extended(clock, active_model):
    browser = enter(SupervisorFactory())
    for _ in range(17):
        later(clock, minutes=28)
        browser.get("/admin/")
    answer = browser.get("/accounts/session/").json()
    assert answer["can_stay"] is False
    assert answer["seconds_left"] == 4 * 60


def test_an_anonymous_user_gets_no_session_state(client):
    assert client.get("/accounts/session/").json() == {"signed_in": False}
    for method in (client.get, client.post):
        answer = method("/accounts/session/stay/")
        assert answer.headers["Location"].startswith("/accounts/login/")


def test_activity_is_stored_at_most_once_a_minute(clock, active_model):
    browser = enter(DoctorFactory())
    first = UserSession.objects.get().last_seen_at
    later(clock, seconds=30)
    browser.get("/readings/")
    assert UserSession.objects.get().last_seen_at == first
    later(clock, seconds=31)
    browser.get("/readings/")
    assert UserSession.objects.get().last_seen_at == START + datetime.timedelta(seconds=61)


def test_a_new_password_ends_the_other_sessions(active_model):
    doctor = DoctorFactory()
    browser, other = enter(doctor), enter(doctor)
    new = "another very long one"
    done = browser.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": new, "password2": new},
    )
    assert done.status_code == 302
    assert browser.get("/readings/").status_code == 200
    assert other.get("/readings/").status_code == 302
