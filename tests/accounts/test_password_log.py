"""What the audit log keeps of passwords, ended sessions and refused sign-ins."""

import re

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.usersessions.models import UserSession
from django.core import mail
from django.core.cache import cache

from accounts import services
from accounts.models import AuditEntry, User
from tests.accounts.sign_up_steps import anonymous_browser, sign_in
from tests.conftest import signed_in
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
NEW = "quite another one 42"


def events(user: User) -> list[tuple[str, str | None]]:
    """Return code and acting account of the password events of an account, oldest first."""
    rows = AuditEntry.objects.filter(what__startswith="password", object_pk=str(user.pk))
    return list(rows.order_by("sequence").values_list("what", "actor_email"))


def test_a_changed_password_is_on_record(doctor):
    browser = signed_in(doctor)
    new = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert browser.post("/accounts/password/change/", new).status_code == 302
    assert events(doctor) == [("password-changed", doctor.email)]


def test_a_reset_by_link_is_on_record(doctor, client):
    client.post("/accounts/password/reset/", {"email": doctor.email})
    link = re.search(r"https?://\S+", mail.outbox[-1].body)[0]
    form = client.get(link, follow=True)
    new = {"password1": NEW, "password2": NEW}
    assert client.post(form.redirect_chain[-1][0], new).status_code == 302
    assert events(doctor) == [("password-reset-asked", None), ("password-reset", None)]


def test_the_owner_is_mailed_when_a_superuser_sets_the_password(
    doctor, django_capture_on_commit_callbacks
):
    root = UserFactory(is_staff=True, is_superuser=True)
    doctor.language = "en"
    doctor.save()
    address = f"/admin/accounts/user/{doctor.pk}/password/"
    new = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    with django_capture_on_commit_callbacks(execute=True):
        assert signed_in(root).post(address, new | {"password2": "x"}).status_code == 200
    assert (events(doctor), mail.outbox) == ([], [])
    with django_capture_on_commit_callbacks(execute=True):
        assert signed_in(root).post(address, new).status_code == 302
    assert events(doctor) == [("password-set", root.email)]
    (sent,) = mail.outbox
    assert sent.to == [doctor.email]
    assert root.email in sent.body
    doctor.refresh_from_db()
    assert doctor.check_password(NEW)


def test_a_password_set_from_the_console_is_on_record(doctor):
    doctor.set_password(NEW)
    doctor.save()
    assert events(doctor) == [("password-changed", None)]


def test_rehashing_a_password_is_no_change(doctor, settings):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    before = doctor.password
    assert doctor.check_password(PASSWORD)
    doctor.refresh_from_db()
    assert doctor.password != before
    assert events(doctor) == []


def test_a_try_while_locked_out_is_on_record(doctor, settings):
    cache.clear()
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "2/5m/key"}
    for _ in range(4):
        sign_in(anonymous_browser(), doctor.email, "wrong")
    sign_in(anonymous_browser(), doctor.email, PASSWORD)
    sign_in(anonymous_browser(), "nobody@example.org", "wrong")
    cache.clear()
    rows = AuditEntry.objects.filter(object_pk=str(doctor.pk))
    assert rows.filter(what="sign-in-failed").count() == 2
    assert rows.filter(what="sign-in-locked").count() == 3
    assert not rows.filter(what="sign-in").exists()


def test_ended_sessions_are_on_record(doctor, supervisor, as_doctor):
    def elsewhere(key: str) -> UserSession:
        return UserSession.objects.create(
            user=doctor, ip="10.0.0.7", session_key=key, user_agent="Firefox/1 Windows"
        )

    as_doctor.post(f"/accounts/sessions/{elsewhere('a').pk}/end/")
    row = AuditEntry.objects.get(what="session-ended")
    assert (row.actor, row.object_pk) == (doctor, str(doctor.pk))
    assert row.additional_data == {"device": "Firefox on Windows", "address": "10.0.0.7"}
    elsewhere("b")
    as_doctor.post("/accounts/sessions/")
    elsewhere("c")
    services.suspend_account(by=supervisor, user=doctor, reason="r")
    assert AuditEntry.objects.filter(what="session-ended").count() >= 3


def test_a_code_tried_while_locked_out_is_on_record(doctor, settings):
    cache.clear()
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "2/5m/key"}
    secret = generate_totp_secret()
    TOTP.activate(doctor, secret)
    browser = anonymous_browser()
    sign_in(browser, doctor.email, PASSWORD)
    for _ in range(4):
        browser.post("/accounts/2fa/authenticate/", {"code": "000000"})
    cache.clear()
    rows = AuditEntry.objects.filter(object_pk=str(doctor.pk), what="sign-in-locked")
    assert rows.count() == 2


def test_asking_for_a_reset_link_is_on_record(doctor, client):
    for typed in (doctor.email.upper(), "nobody@example.org"):
        client.post("/accounts/password/reset/", {"email": typed})
    rows = AuditEntry.objects.filter(what="password-reset-asked").order_by("sequence")
    assert [(row.object_pk, row.object_repr) for row in rows] == [
        (str(doctor.pk), str(doctor)),
        ("", "nobody@example.org"),
    ]
    assert {row.remote_addr for row in rows} == {"127.0.0.1"}


def test_every_attempt_beyond_a_rate_limit_is_on_record(doctor, settings):
    cache.clear()
    settings.ACCOUNT_RATE_LIMITS = {"login": "2/m/ip", "reset_password": "1/m/ip"}
    browser = anonymous_browser()
    statuses = [sign_in(browser, doctor.email, "wrong").status_code for _ in range(5)]
    for _ in range(3):
        browser.post("/accounts/password/reset/", {"email": "nobody@example.org"})
    cache.clear()
    assert statuses == [200, 200, 429, 429, 429]
    rows = AuditEntry.objects.filter(object_pk=str(doctor.pk))
    assert rows.filter(what="sign-in-failed").count() == 2
    assert rows.filter(what="sign-in-locked").count() == 3
    assert AuditEntry.objects.filter(what="password-reset-asked").count() == 1
    refused = AuditEntry.objects.filter(what="attempt-refused")
    assert {row.object_repr for row in refused} == {"nobody@example.org"}
    assert [row.additional_data["page"] for row in refused] == ["account_reset_password"] * 2


def test_an_attempt_of_a_signed_in_account_beyond_a_rate_limit_is_on_record(
    as_doctor, doctor, settings
):
    cache.clear()
    settings.ACCOUNT_RATE_LIMITS = {"change_password": "1/m/user"}
    new = {"oldpassword": "wrong", "password1": NEW, "password2": NEW}
    statuses = [as_doctor.post("/accounts/password/change/", new).status_code for _ in range(2)]
    cache.clear()
    assert statuses == [200, 429]
    row = AuditEntry.objects.get(what="attempt-refused")
    assert (row.actor, row.object_pk) == (doctor, str(doctor.pk))
