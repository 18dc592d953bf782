"""Two-factor authentication: required for staff, optional for others."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts import roles, two_factor
from accounts.middleware import OPEN_FOR_SETUP, OPEN_WITHOUT_FACTOR
from accounts.models import AuditEntry
from tests.conftest import give_second_factor, signed_in
from tests.factories import PASSWORD, DoctorFactory, MLStaffFactory, SupervisorFactory, UserFactory
from tests.security.crawl import addresses

pytestmark = pytest.mark.django_db


@pytest.fixture
def commits(transactional_db):
    """Run `on_commit` callbacks, as on the site."""
    roles.install(apps)


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def with_app(user) -> str:
    """Give the account an authenticator app and return its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def by_password(user) -> Client:
    """Return a browser in which only the password was entered."""
    client = Client(headers={"accept-language": "en"})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def confirmed(client: Client) -> Client:
    """Confirm the password, as required before security settings are changed."""
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_supervisor_without_a_factor_is_redirected_to_set_one_up(commits, active_model):
    browser = by_password(SupervisorFactory())
    assert is_in(browser)
    wanted = "/admin/diagnosis/reading/"
    response = browser.get(wanted)
    assert response.headers["Location"] == "/accounts/second-factor/"
    assert "One more step" in browser.get("/accounts/second-factor/").content.decode()
    assert "reauthenticate" in browser.get("/accounts/2fa/totp/activate/").headers["Location"]
    page = confirmed(browser).get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    done = browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    assert done.headers["Location"] == "/accounts/2fa/recovery-codes/"
    assert browser.get(wanted).status_code == 200
    assert browser.get("/accounts/second-factor/").headers["Location"] == wanted


def test_no_other_page_opens_without_a_second_factor(active_model, reading):
    for person in (SupervisorFactory(), MLStaffFactory(), UserFactory(is_superuser=True)):
        browser = Client()
        browser.force_login(person)
        closed = 0
        for name, address in addresses(reading, person).items():
            if name in OPEN_WITHOUT_FACTOR | OPEN_FOR_SETUP:
                continue
            for answer in (browser.get(address), browser.post(address)):
                assert answer.status_code == 302, f"{name}: {answer.status_code}"
                assert "second-factor" in answer.headers["Location"], name
                closed += 1
        assert closed > 200


def test_each_code_is_accepted_once_at_sign_in():
    supervisor = SupervisorFactory()
    secret = with_app(supervisor)
    browser = by_password(supervisor)
    assert not is_in(browser)
    code = code_of(secret)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    browser.post("/accounts/2fa/authenticate/", {"code": wrong})
    assert not is_in(browser)
    browser.post("/accounts/2fa/authenticate/", {"code": code})
    assert is_in(browser)
    assert browser.get("/admin/").status_code == 200
    again = by_password(supervisor)
    again.post("/accounts/2fa/authenticate/", {"code": code})
    assert not is_in(again), "a code was accepted twice"
    events = list(AuditEntry.objects.order_by("sequence").values_list("what", flat=True))
    assert events.count("second-factor-failed") == 2
    assert events.count("second-factor-given") == 1


def test_a_recovery_code_works_once():
    doctor = DoctorFactory()
    with_app(doctor)
    codes = RecoveryCodes.activate(doctor).get_unused_codes()
    browser = by_password(doctor)
    browser.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert is_in(browser)
    again = by_password(doctor)
    again.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert not is_in(again)
    assert AuditEntry.objects.filter(what="recovery-code-used").count() == 1


def test_code_guessing_is_rate_limited(settings):
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "5/5m/key"}
    doctor = DoctorFactory()
    secret = with_app(doctor)
    browser = by_password(doctor)
    right = code_of(secret)
    for guess in range(6):
        browser.post(
            "/accounts/2fa/authenticate/", {"code": f"{(int(right) + 1 + guess) % 10**6:06d}"}
        )
    page = browser.post("/accounts/2fa/authenticate/", {"code": right})
    assert not is_in(browser)
    assert "Too many" in page.content.decode()


def test_two_factor_authentication_is_optional_for_doctors():
    doctor = DoctorFactory()
    browser = by_password(doctor)
    assert browser.get("/readings/").status_code == 200
    assert browser.get("/accounts/second-factor/").headers["Location"] == "/accounts/2fa/"


def test_an_older_session_must_pass_a_new_factor():
    supervisor = SupervisorFactory()
    old = by_password(supervisor)
    secret = with_app(supervisor)
    response = old.get("/admin/")
    assert response.headers["Location"] == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2F"
    # ... and cannot set up another factor instead.
    assert "reauthenticate" in old.get("/accounts/2fa/totp/activate/").headers["Location"]
    assert "reauthenticate" in old.get("/accounts/2fa/webauthn/add/").headers["Location"]
    done = old.post("/accounts/2fa/reauthenticate/?next=/admin/", {"code": code_of(secret)})
    assert done.headers["Location"] == "/admin/"
    assert old.get("/admin/").status_code == 200


def test_a_removed_factor_no_longer_works():
    supervisor = SupervisorFactory()
    browser = signed_in(supervisor)
    assert browser.get("/admin/").status_code == 200
    Authenticator.objects.filter(user=supervisor).delete()
    assert browser.get("/admin/").headers["Location"] == "/accounts/second-factor/"
    with_app(supervisor)
    assert "reauthenticate" in browser.get("/admin/").headers["Location"]


def test_recovery_codes_alone_are_not_a_factor():
    supervisor = SupervisorFactory()
    RecoveryCodes.activate(supervisor)
    browser = by_password(supervisor)
    assert browser.get("/admin/").headers["Location"] == "/accounts/second-factor/"


def test_a_factor_of_another_user_does_not_count():
    supervisor, other = SupervisorFactory(), SupervisorFactory()
    with_app(supervisor)
    browser = Client()
    browser.force_login(supervisor)
    give_second_factor(browser, other)
    session = browser.session
    session["account_authentication_methods_user"] = str(supervisor.pk)
    session.save()
    assert "reauthenticate" in browser.get("/admin/").headers["Location"]


def test_a_superuser_can_reset_a_lost_factor():
    root, supervisor = UserFactory(is_superuser=True, is_staff=True), SupervisorFactory()
    with_app(supervisor)
    RecoveryCodes.activate(supervisor)
    with pytest.raises(PermissionDenied):
        two_factor.reset_second_factor(by=supervisor, user=root)
    with pytest.raises(PermissionDenied):
        two_factor.reset_second_factor(by=root, user=root)
    assert two_factor.reset_second_factor(by=root, user=supervisor) == 2
    assert not Authenticator.objects.filter(user=supervisor).exists()
    assert AuditEntry.objects.filter(what="second-factor-reset").count() == 1


def test_a_factor_can_be_reset_on_the_console(capsys):
    root, doctor = UserFactory(is_superuser=True, is_staff=True), DoctorFactory()
    with_app(doctor)
    with pytest.raises(CommandError, match="is not a superuser"):
        call_command("reset_second_factor", doctor.email, "--by", doctor.email)
    with pytest.raises(CommandError, match="No account"):
        call_command("reset_second_factor", "nobody@example.org", "--by", root.email)
    assert Authenticator.objects.filter(user=doctor).exists()
    call_command("reset_second_factor", doctor.email, "--by", root.email)
    assert "removed: 1 " in capsys.readouterr().out
    assert AuditEntry.objects.get(what="second-factor-reset").actor == root


def test_secrets_cannot_be_read_in_the_database():
    doctor = DoctorFactory()
    secret = with_app(doctor)
    RecoveryCodes.activate(doctor)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        stored = str(cursor.fetchall())
    assert secret not in stored
    browser = by_password(doctor)
    browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert is_in(browser)


def test_factors_survive_a_key_change(settings):
    doctor = DoctorFactory()
    secret = with_app(doctor)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next key, which the site got in the yearly change"
    browser = by_password(doctor)
    browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert is_in(browser)


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_every_two_factor_page_renders(language, active_model):
    supervisor = SupervisorFactory(language=language)
    browser = signed_in(supervisor)
    browser.cookies["django_language"] = language
    confirmed(browser)
    for page in ("", "recovery-codes/generate/", "webauthn/", "webauthn/add/", "totp/deactivate/"):
        text = browser.get(f"/accounts/2fa/{page}").content.decode()
        assert f'lang="{language}"' in text, page
        assert "<h1" in text
        assert not re.search(r"<script(?![^>]*(?:src=|application/json))", text)


def test_setting_up_and_removing_a_factor_is_audited(commits, active_model):
    doctor = DoctorFactory()
    browser = confirmed(by_password(doctor))
    secret = browser.get("/accounts/2fa/totp/activate/").context["form"].secret
    browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    browser.post("/accounts/2fa/totp/deactivate/")
    rows = AuditEntry.objects.filter(what__startswith="second-factor").order_by("sequence")
    assert rows[0].what == "second-factor-added"
    assert "second-factor-removed" in [row.what for row in rows]
    assert {row.actor for row in rows} == {doctor}
    assert secret not in str([vars(row) for row in AuditEntry.objects.all()])
