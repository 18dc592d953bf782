"""Safe methods have no side effects, and POST requires a CSRF token."""

import hashlib

import pytest
from django.apps import apps
from django.conf import settings
from django.test import Client

from tests.conftest import patient_details, signed_in
from tests.factories import PASSWORD
from tests.security.crawl import addresses

# Tables that viewing a page may change.
TRACES = {
    "accounts.AuditEntry",
    "accounts.AuditHead",
    "accounts.AuditMention",
    "sessions.Session",
    "usersessions.UserSession",
    # Opening a topic marks it and its notifications as read.
    "forum.TopicRead",
    "forum.Notification",
}


def state() -> dict[str, str]:
    """Return a fingerprint of every table, except those that viewing may change."""
    return {
        model._meta.label: hashlib.sha256(
            repr(list(model._base_manager.order_by("pk").values_list())).encode()
        ).hexdigest()
        for model in apps.get_models()
        if model._meta.label not in TRACES and not model._meta.proxy and not model._meta.swapped
    }


# Like the audit log: that a page was opened for the first time, and that a copy was issued.
RECORDS = {
    "readings:detail": {"diagnosis.Reading"},
    "readings:report_pdf": {"diagnosis.ReportIssue"},
}


@pytest.mark.usefixtures("pages_render_quickly")
@pytest.mark.parametrize("person", ["doctor", "supervisor", "ml_engineer", "root", None])
def test_get_and_head_change_nothing(person, people, reading):
    user, browser = people[person]
    found = addresses(reading, user or reading.doctor)  # which may make what they are about
    shown, before = 0, state()
    for name, address in found.items():
        for method in (browser.get, browser.head):
            response = method(address)
            if response.streaming:
                b"".join(response.streaming_content)
            assert response.status_code < 500, f"{name}: {response.status_code}"
            shown += response.status_code == 200
        after = state()
        changed = [table for table in after if before[table] != after[table]]
        assert set(changed) <= RECORDS.get(name, set()), f"GET {address} ({name}) changed {changed}"
        before = after
    assert shown >= (20 if user is None else 60), "too few pages were shown"


@pytest.mark.usefixtures("pages_render_quickly")
@pytest.mark.parametrize("person", ["doctor", "supervisor", "root", None])
def test_posts_without_a_csrf_token_are_refused(person, people, reading):
    user, plain = people[person]
    strict = Client(enforce_csrf_checks=True, headers={"accept-language": "en"})
    strict.cookies = plain.cookies
    found = addresses(reading, user or reading.doctor)
    before = state()
    del found["saml_acs"]  # the provider's page posts there; its signature is checked instead
    for name, address in found.items():
        if address.startswith(settings.TOKEN_PATHS):  # cookies count for nothing there
            continue
        status = strict.post(address, patient_details()).status_code
        # The token is checked before the method and the permissions.
        assert status == 403, f"POST {address} ({name}) answers {status}"
    assert state() == before


def test_post_with_a_csrf_token_is_accepted(doctor):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(doctor)
    strict.get("/accounts/profile/")
    token = strict.cookies["csrftoken"].value
    fields = {"display_name": "Mei", "csrfmiddlewaretoken": token}
    assert strict.post("/accounts/profile/", fields).status_code == 302
    doctor.refresh_from_db()
    assert doctor.display_name == "Mei"


@pytest.mark.usefixtures("pages_render_quickly")
def test_other_methods_change_nothing(people, reading):
    user, browser = people["root"]
    found = addresses(reading, user)
    before = state()
    for name, address in found.items():
        for method in (browser.put, browser.patch, browser.delete, browser.options):
            assert method(address).status_code < 500, f"{method.__name__} {name}"
    assert state() == before


def with_session(key: str) -> Client:
    """Return a browser with a stolen session id."""
    thief = Client()
    thief.cookies["sessionid"] = key
    return thief


def test_session_id_set_before_sign_in_is_replaced(doctor):
    browser = Client()
    browser.post("/i18n/set/", {"language": "en"})
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = planted = session.session_key
    browser.post("/accounts/login/", {"login": doctor.email, "password": PASSWORD})
    assert browser.get("/accounts/profile/").status_code == 200
    assert browser.cookies["sessionid"].value != planted
    answer = with_session(planted).get("/accounts/profile/")
    assert answer.headers["Location"] == "/accounts/login/?next=/accounts/profile/"


def test_session_id_is_invalid_after_sign_out(reading, doctor):
    browser = signed_in(doctor)
    address = f"/readings/{reading.pk}/"
    key = browser.session.session_key
    assert with_session(key).get(address).status_code == 200
    browser.post("/accounts/logout/")
    answer = with_session(key).get(address)
    assert answer.headers["Location"] == f"/accounts/login/?next={address}"
