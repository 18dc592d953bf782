"""Looking changes nothing: whatever changes something refuses GET, and wants the form's token."""

import hashlib

import pytest
from django.apps import apps
from django.test import Client

from tests.conftest import particulars, signed_in
from tests.security.crawl import addresses

# Looking leaves a trace here, and may only here.
TRACES = {
    "accounts.AuditEntry",
    "accounts.AuditHead",
    "sessions.Session",
    "usersessions.UserSession",
    # That a topic was read, and with it what told of it.
    "forum.TopicRead",
    "forum.Notification",
}


def state() -> dict[str, str]:
    """A fingerprint of every table but those in which looking leaves its trace."""
    return {
        model._meta.label: hashlib.sha256(
            repr(list(model._base_manager.order_by("pk").values_list())).encode()
        ).hexdigest()
        for model in apps.get_models()
        if model._meta.label not in TRACES and not model._meta.proxy and not model._meta.swapped
    }


@pytest.mark.parametrize("person", ["doctor", "supervisor", "ml_engineer", "root", None])
def test_get_and_head_change_nothing(person, people, reading):
    user, browser = people[person]
    for name, address in addresses(reading, user or reading.doctor).items():
        before = state()
        for method in (browser.get, browser.head):
            response = method(address)
            if response.streaming:
                b"".join(response.streaming_content)
            assert response.status_code < 500, f"{name}: {response.status_code}"
        after = state()
        changed = [table for table in after if before[table] != after[table]]
        assert changed == [], f"GET {address} ({name}) changed {changed}"


@pytest.mark.parametrize("person", ["doctor", "supervisor", "root", None])
def test_no_form_is_taken_without_its_token(person, people, reading):
    user, plain = people[person]
    strict = Client(enforce_csrf_checks=True, headers={"accept-language": "en"})
    strict.cookies = plain.cookies
    before = state()
    for name, address in addresses(reading, user or reading.doctor).items():
        status = strict.post(address, particulars()).status_code
        # 404 and 405 do nothing; a redirect is to the sign-in page, before any form is read.
        assert status in {302, 403, 404, 405}, f"POST {address} ({name}) answers {status}"
    assert state() == before


def test_other_methods_change_nothing(people, reading):
    user, browser = people["root"]
    before = state()
    for name, address in addresses(reading, user).items():
        for method in (browser.put, browser.patch, browser.delete, browser.options):
            assert method(address).status_code < 500, f"{method.__name__} {name}"
    assert state() == before


def test_a_session_of_one_person_is_no_other_persons(people, reading, doctor):
    """A session id that was known before signing in is worth nothing afterwards."""
    browser = signed_in(doctor)
    key = browser.session.session_key
    browser.post("/accounts/logout/")
    thief = Client()
    thief.cookies["sessionid"] = key
    assert thief.get(f"/readings/{reading.pk}/").status_code == 302
