"""Two-factor authentication: required for staff, optional for others."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts import two_factor
from accounts.middleware import OPEN_FOR_SETUP, OPEN_WITHOUT_FACTOR
from accounts.models import AuditEntry
from tests.conftest import give_two_factor_code, signed_in
from tests.factories import PASSWORD, DoctorFactory, MLStaffFactory, SupervisorFactory, UserFactory
from tests.security.crawl import addresses

pytestmark = pytest.mark.django_db


@pytest.fixture
def commits(transactional_db):
    """Commit transactions for real, so that `on_commit` callbacks run."""


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def add_authenticator_app(user) -> str:
    """Give the account an authenticator app and return its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def browser_after_password(user) -> Client:
    """Return a browser after the password step of signing in."""
    client = Client(headers={"accept-language": "en"})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def confirm_password(client: Client) -> Client:
    """Confirm the password, as security changes require."""
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_supervisor_sets_up_two_factor_and_returns_to_the_requested_page(commits, active_model):
    browser = browser_after_password(SupervisorFactory())
    assert is_signed_in(browser)
    wanted = "/admin/diagnosis/reading/"
    response = browser.get(wanted)
    assert response.headers["Location"] == "/accounts/second-factor/"
    assert "One more step" in browser.get("/accounts/second-factor/").content.decode()
    assert "reauthenticate" in browser.get("/accounts/2fa/totp/activate/").headers["Location"]
    page = confirm_password(browser).get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    done = browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    assert done.headers["Location"] == "/accounts/2fa/recovery-codes/"
    assert browser.get(wanted).status_code == 200
    assert browser.get("/accounts/second-factor/").headers["Location"] == wanted


def test_staff_pages_are_closed_without_two_factor(active_model, reading):
    for person in (SupervisorFactory(), MLStaffFactory(), UserFactory(is_superuser=True)):
        browser = Client()
        browser.force_login(person)
        closed = 0
        for name, address in addresses(reading, person).items():
            if name in OPEN_WITHOUT_FACTOR | OPEN_FOR_SETUP:
                continue
            if address.startswith(settings.TOKEN_PATHS):  # a session counts for nothing there
                continue
            for answer in (browser.get(address), browser.post(address)):
                assert answer.status_code == 302, f"{name}: {answer.status_code}"
                assert "second-factor" in answer.headers["Location"], name
                closed += 1
        assert closed > 200


def test_code_is_required_and_accepted_once():
    supervisor = SupervisorFactory()
    secret = add_authenticator_app(supervisor)
    browser = browser_after_password(supervisor)
    assert not is_signed_in(browser)
    code = code_of(secret)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    browser.post("/accounts/2fa/authenticate/", {"code": wrong})
    assert not is_signed_in(browser)
    browser.post("/accounts/2fa/authenticate/", {"code": code})
    assert is_signed_in(browser)
    assert browser.get("/admin/").status_code == 200
    again = browser_after_password(supervisor)
    again.post("/accounts/2fa/authenticate/", {"code": code})
    assert not is_signed_in(again), "a code was accepted twice"
    events = list(AuditEntry.objects.order_by("sequence").values_list("what", flat=True))
    assert events.count("second-factor-failed") == 2
    assert events.count("second-factor-given") == 1


def test_recovery_code_works_once():
    doctor = DoctorFactory()
    add_authenticator_app(doctor)
    codes = RecoveryCodes.activate(doctor).get_unused_codes()
    browser = browser_after_password(doctor)
    browser.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert is_signed_in(browser)
    again = browser_after_password(doctor)
    again.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert not is_signed_in(again)
    assert AuditEntry.objects.filter(what="recovery-code-used").count() == 1


def test_guessing_codes_is_rate_limited(settings):
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "5/5m/key"}
    doctor = DoctorFactory()
    secret = add_authenticator_app(doctor)
    browser = browser_after_password(doctor)
    right = code_of(secret)
    for guess in range(6):
        browser.post(
            "/accounts/2fa/authenticate/", {"code": f"{(int(right) + 1 + guess) % 10**6:06d}"}
        )
    page = browser.post("/accounts/2fa/authenticate/", {"code": right})
    assert not is_signed_in(browser)
    assert "Too many" in page.content.decode()


def test_two_factor_is_optional_for_doctors():
    doctor = DoctorFactory()
    browser = browser_after_password(doctor)
    assert browser.get("/readings/").status_code == 200
    assert browser.get("/accounts/second-factor/").headers["Location"] == "/accounts/2fa/"


def test_earlier_session_has_to_give_a_new_factor():
    supervisor = SupervisorFactory()
    old = browser_after_password(supervisor)
    secret = add_authenticator_app(supervisor)
    response = old.get("/admin/")
    assert response.headers["Location"] == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2F"
    # It cannot set up another factor instead.
    assert "reauthenticate" in old.get("/accounts/2fa/totp/activate/").headers["Location"]
    assert "reauthenticate" in old.get("/accounts/2fa/webauthn/add/").headers["Location"]
    done = old.post("/accounts/2fa/reauthenticate/?next=/admin/", {"code": code_of(secret)})
    assert done.headers["Location"] == "/admin/"
    assert old.get("/admin/").status_code == 200


def test_removed_factor_no_longer_counts():
    supervisor = SupervisorFactory()
    browser = signed_in(supervisor)
    assert browser.get("/admin/").status_code == 200
    Authenticator.objects.filter(user=supervisor).delete()
    assert browser.get("/admin/").headers["Location"] == "/accounts/second-factor/"
    add_authenticator_app(supervisor)
    assert "reauthenticate" in browser.get("/admin/").headers["Location"]


def test_recovery_codes_alone_do_not_count():
    supervisor = SupervisorFactory()
    RecoveryCodes.activate(supervisor)
    browser = browser_after_password(supervisor)
    assert browser.get("/admin/").headers["Location"] == "/accounts/second-factor/"


def test_another_users_factor_does_not_count():
    supervisor, other = SupervisorFactory(), SupervisorFactory()
    add_authenticator_app(supervisor)
    browser = Client()
    browser.force_login(supervisor)
    give_two_factor_code(browser, other)
    session = browser.session
    session["account_authentication_methods_user"] = str(supervisor.pk)
    session.save()
    assert "reauthenticate" in browser.get("/admin/").headers["Location"]


def test_superuser_resets_two_factor():
    root, supervisor = UserFactory(is_superuser=True, is_staff=True), SupervisorFactory()
    add_authenticator_app(supervisor)
    RecoveryCodes.activate(supervisor)
    with pytest.raises(PermissionDenied):
        two_factor.reset_second_factor(by=supervisor, user=root)
    with pytest.raises(PermissionDenied):
        two_factor.reset_second_factor(by=root, user=root)
    assert two_factor.reset_second_factor(by=root, user=supervisor) == 2
    assert not Authenticator.objects.filter(user=supervisor).exists()
    assert AuditEntry.objects.filter(what="second-factor-reset").count() == 1


def test_command_resets_two_factor(capsys):
    root, doctor = UserFactory(is_superuser=True, is_staff=True), DoctorFactory()
    add_authenticator_app(doctor)
    with pytest.raises(CommandError, match="is not a superuser"):
        call_command("reset_second_factor", doctor.email, "--by", doctor.email)
    with pytest.raises(CommandError, match="No account"):
        call_command("reset_second_factor", "nobody@example.org", "--by", root.email)
    assert Authenticator.objects.filter(user=doctor).exists()
    call_command("reset_second_factor", doctor.email, "--by", root.email)
    assert "removed: 1 " in capsys.readouterr().out
    assert AuditEntry.objects.get(what="second-factor-reset").actor == root


def test_secrets_are_encrypted_in_the_database():
    doctor = DoctorFactory()
    secret = add_authenticator_app(doctor)
    RecoveryCodes.activate(doctor)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        stored = str(cursor.fetchall())
    assert secret not in stored
    browser = browser_after_password(doctor)
    browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert is_signed_in(browser)


def test_factors_work_after_a_key_rotation(settings):
    doctor = DoctorFactory()
    secret = add_authenticator_app(doctor)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next key, which the site got in the yearly change"
    browser = browser_after_password(doctor)
    browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert is_signed_in(browser)


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_two_factor_pages_render_in_both_languages(language, active_model):
    supervisor = SupervisorFactory(language=language)
    browser = signed_in(supervisor)
    browser.cookies["django_language"] = language
    confirm_password(browser)
    for page in ("", "recovery-codes/generate/", "webauthn/", "webauthn/add/", "totp/deactivate/"):
        text = browser.get(f"/accounts/2fa/{page}").content.decode()
        assert f'lang="{language}"' in text, page
        assert "<h1" in text
        assert not re.search(r"<script(?![^>]*(?:src=|application/json))", text)


def test_adding_and_removing_a_factor_is_recorded(commits, active_model):
    doctor = DoctorFactory()
    browser = confirm_password(browser_after_password(doctor))
    secret = browser.get("/accounts/2fa/totp/activate/").context["form"].secret
    browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    browser.post("/accounts/2fa/totp/deactivate/")
    rows = AuditEntry.objects.filter(what__startswith="second-factor").order_by("sequence")
    assert rows[0].what == "second-factor-added"
    assert "second-factor-removed" in [row.what for row in rows]
    assert {row.actor for row in rows} == {doctor}
    assert secret not in str([vars(row) for row in AuditEntry.objects.all()])
