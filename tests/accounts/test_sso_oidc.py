"""Signing in with a hospital's OpenID Connect provider: oidc-provider-mock on loopback."""

import dataclasses
import time
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from unittest import mock

import jwt
import pytest
import requests
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.core import mail
from django.test import Client, override_settings

from accounts import roles
from accounts.audit.models import AuditEntry
from accounts.models import User
from accounts.services import roles_of
from accounts.sso import config
from accounts.sso.models import ConnectionRequest
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory, UserFactory
from xraysite.common.sign_in_provider import OIDC, SignInProvider

# The provider runs in a thread of the tests, and its libraries are about to change.
pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")
LOGIN = "/accounts/sso/oidc/login/"
EMAIL = "wang@hospital.example"
CREDENTIALS = {"login": EMAIL, "password": PASSWORD}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        from oidc_provider_mock import run_server_in_thread
    with run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def provider(settings, issuer, db) -> SignInProvider:
    settings.SSO = SignInProvider(
        kind=OIDC,
        name="Example Hospital",
        name_zh="範例醫院",
        issuer=issuer,
        client_id="xraysite",
        client_secret="a secret of the tests",
        groups={
            roles.DOCTOR: frozenset({"xray-doctors"}),
            roles.SUPERVISOR: frozenset({"xray-heads"}),
        },
        second_factor=frozenset({"mfa"}),
    )
    return settings.SSO


@pytest.fixture
def browser(provider) -> Client:
    return Client(headers={"accept-language": "en", "host": "testserver"})


def person_at(issuer: str, sub: str = "p-1", **claims: object) -> None:
    """Make the provider know a person, or change what it says about one."""
    known = {"email": EMAIL, "email_verified": True, "name": "王怡君", "groups": ["xray-doctors"]}
    response = requests.put(f"{issuer}/users/{sub}", json=known | claims, timeout=5)
    assert response.ok, response.text


def came_back(browser: Client, sub: str = "p-1", page: str = ""):
    """Sign in at the provider and return this site's response to the browser that comes back."""
    browser.cookies.clear()
    begun = browser.post(LOGIN, {"next": page} if page else {})
    assert begun.status_code == 302, begun.content.decode()
    response = requests.post(
        begun.headers["Location"], data={"sub": sub}, allow_redirects=False, timeout=5
    )
    back = urllib.parse.urlsplit(response.headers["Location"])
    assert back.path == "/accounts/sso/oidc/callback/"
    return browser.get(f"{back.path}?{back.query}")


def is_signed_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


def reasons() -> list[str]:
    rows = AuditEntry.objects.filter(what="sign-in-by-provider-failed").order_by("pk")
    return [row.additional_data["reason"] for row in rows]


def with_settings(settings, **changes: object) -> None:
    settings.SSO = dataclasses.replace(settings.SSO, **changes)


# --- A person who is new ----------------------------------------------------------------------


def test_without_a_provider_nothing_exists(db, client):
    assert "Sign in with" not in client.get("/accounts/login/").content.decode().replace(
        "Sign in with a passkey", ""
    )
    assert client.post(LOGIN).status_code == 404
    assert client.get("/accounts/sso/oidc/callback/?code=1&state=2").status_code == 404


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Sign in with Example Hospital"), ("zh-hant", "範例醫院")]
)
def test_sign_in_page_names_the_hospital(provider, language, words):
    page = Client(headers={"accept-language": language}).get("/accounts/login/?next=/forum/")
    assert words in page.content.decode()


def test_new_person_waits_for_approval(
    browser, issuer, supervisor, django_capture_on_commit_callbacks
):
    person_at(issuer)
    with django_capture_on_commit_callbacks(execute=True):
        response = came_back(browser)
    assert response.headers["Location"] == "/accounts/status/"
    user = User.objects.get(email=EMAIL)
    assert (user.display_name, user.hospital) == ("王怡君", "Example Hospital")
    assert user.approval == User.Approval.PENDING
    assert roles_of(user) == [roles.DOCTOR]
    assert browser.get("/readings/").status_code == 302
    assert user in User.objects.waiting()
    assert [sent.to for sent in mail.outbox] == [[supervisor.email]]
    row = AuditEntry.objects.get(what="roles-from-provider")
    assert row.additional_data["given"] == [roles.DOCTOR]


def test_named_group_is_approved_where_the_site_says_so(browser, issuer, settings):
    with_settings(settings, approves=True)
    person_at(issuer)
    assert came_back(browser, page="/readings/").headers["Location"] == "/readings/"
    assert browser.get("/readings/").status_code == 200
    assert AuditEntry.objects.filter(what="approved-by-provider").exists()
    # The hospital takes the person out of the group.
    other = Client(headers={"host": "testserver"})
    person_at(issuer, groups=[])
    came_back(other)
    user = User.objects.get(email=EMAIL)
    assert (user.approval, roles_of(user)) == (User.Approval.PENDING, [])
    assert not is_signed_in(browser), "the earlier session has ended"


def test_rejected_person_is_not_approved_by_a_group(browser, issuer, settings):
    person_at(issuer)
    came_back(browser)
    User.objects.update(approval=User.Approval.REJECTED)
    with_settings(settings, approves=True)
    came_back(browser)
    assert User.objects.get().approval == User.Approval.REJECTED


def test_closed_site_admits_named_groups_only(browser, issuer, settings):
    settings.SIGNUP_OPEN = False
    person_at(issuer, groups=["kitchen"])
    response = came_back(browser)
    assert response.status_code == 403
    assert "in none of the groups" in response.content.decode()
    assert reasons() == ["no-group"]
    person_at(issuer)
    assert came_back(browser).status_code == 302


@pytest.mark.parametrize(
    ("claims", "reason"),
    [({"email": None}, "no-email"), ({"email_verified": False}, "unverified")],
)
def test_address_that_is_missing_or_not_confirmed(browser, issuer, claims, reason):
    person_at(issuer, **claims)
    assert came_back(browser).status_code == 401
    assert reasons() == [reason]
    assert not User.objects.exists()


def test_name_of_a_role_is_not_taken_over(browser, issuer):
    person_at(issuer, name="Supervisor")
    came_back(browser)
    assert User.objects.get().display_name == "wang"


def test_nothing_that_the_provider_sent_is_stored(browser, issuer):
    person_at(issuer, birthdate="1980-01-01")
    came_back(browser)
    assert SocialAccount.objects.get().extra_data == {}
    assert not SocialToken.objects.exists()


# --- Roles ------------------------------------------------------------------------------------


def test_roles_follow_the_groups(browser, issuer, settings):
    with_settings(settings, approves=True)
    person_at(issuer, groups=["xray-doctors", "xray-heads"])
    came_back(browser)
    user = User.objects.get()
    assert roles_of(user) == [roles.DOCTOR, roles.SUPERVISOR]
    assert user.is_staff
    person_at(issuer)
    came_back(browser)
    user.refresh_from_db()
    assert roles_of(user) == [roles.DOCTOR]
    assert not user.is_staff
    row = AuditEntry.objects.filter(what="roles-from-provider").latest("pk")
    assert row.additional_data["taken"] == [roles.SUPERVISOR]


def test_role_of_a_supervisor_stays(browser, issuer):
    person_at(issuer, groups=[])
    came_back(browser)
    user = User.objects.get()
    user.groups.add(*roles_named(roles.ML_STAFF))
    came_back(browser)
    assert roles_of(user) == [roles.ML_STAFF]


def roles_named(*names: str):
    from django.contrib.auth.models import Group

    return Group.objects.filter(name__in=names)


def test_superuser_is_never_changed(browser, issuer):
    user = UserFactory(email=EMAIL, is_superuser=True, is_staff=True)
    connected(user)
    person_at(issuer)
    came_back(browser)
    user.refresh_from_db()
    assert (user.is_superuser, user.is_staff, roles_of(user)) == (True, True, [])


def connected(user: User, sub: str = "p-1") -> None:
    SocialAccount.objects.create(user=user, uid=sub, provider=config.key_of(config.required()))


# --- Accounts that exist ----------------------------------------------------------------------


@pytest.fixture
def local(provider) -> User:
    return DoctorFactory(email=EMAIL, display_name="王怡君")


def test_existing_account_is_connected_by_its_password(
    browser, issuer, local, django_capture_on_commit_callbacks
):
    person_at(issuer)
    response = came_back(browser)
    assert response.headers["Location"].startswith("/accounts/login/")
    assert not is_signed_in(browser)
    page = browser.get("/accounts/login/").content.decode()
    assert "Sign in to it once with your password" in page
    with django_capture_on_commit_callbacks(execute=True):
        browser.post("/accounts/login/", CREDENTIALS | {"connect": "on"})
    assert SocialAccount.objects.get().user == local
    assert [sent.to for sent in mail.outbox] == [[EMAIL]]
    browser.post("/accounts/logout/")
    came_back(browser)
    assert browser.session["_auth_user_id"] == str(local.pk)


def test_existing_account_is_not_taken_over(browser, issuer, local):
    person_at(issuer)
    came_back(browser)
    wrong = {"login": EMAIL, "password": "a wrong one, again", "connect": "on"}
    browser.post("/accounts/login/", wrong)
    assert not SocialAccount.objects.exists()
    other = {"login": DoctorFactory().email, "password": PASSWORD, "connect": "on"}
    browser.post("/accounts/login/", other)
    assert not SocialAccount.objects.exists(), "another account's password connects nothing"


def test_nothing_is_connected_without_consent(browser, issuer, local):
    person_at(issuer)
    came_back(browser)
    browser.post("/accounts/login/", CREDENTIALS)
    assert is_signed_in(browser)
    assert not SocialAccount.objects.exists()


def test_connection_waits_for_the_second_factor(browser, issuer, local):
    secret = generate_totp_secret()
    TOTP.activate(local, secret)
    person_at(issuer)
    came_back(browser)
    response = browser.post("/accounts/login/", CREDENTIALS | {"connect": "on"})
    assert response.headers["Location"] == "/accounts/2fa/authenticate/"
    assert not SocialAccount.objects.exists()
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    browser.post("/accounts/2fa/authenticate/", {"code": code})
    assert SocialAccount.objects.get().user == local


def test_connection_expires(browser, issuer, local):
    person_at(issuer)
    came_back(browser)
    with mock.patch("accounts.sso.linking.MAX_AGE_S", -1):
        browser.post("/accounts/login/", CREDENTIALS | {"connect": "on"})
    assert is_signed_in(browser)
    assert not SocialAccount.objects.exists()


def test_supervisor_connects_an_account_without_a_password(browser, issuer, local, as_supervisor):
    local.set_unusable_password()
    local.save()
    person_at(issuer)
    assert "Ask a supervisor to connect it" in came_back(browser).content.decode()
    account = f"/admin/accounts/user/{local.pk}/"
    assert f"{account}identity/" in as_supervisor.get(f"{account}change/").content.decode()
    page = as_supervisor.get(f"{account}identity/").content.decode()
    assert "p-1" in page
    asked = ConnectionRequest.objects.get()
    as_supervisor.post(f"{account}identity/", {"request": asked.pk})
    came_back(browser)
    assert browser.session["_auth_user_id"] == str(local.pk)
    as_supervisor.post(f"{account}identity/", {"disconnect": "1"})
    assert not SocialAccount.objects.exists()


def test_applicant_with_somebody_elses_address_loses_the_password(
    browser, issuer, provider, as_supervisor
):
    applicant = UserFactory(email=EMAIL, approval=User.Approval.PENDING, verified=False)
    person_at(issuer)
    came_back(browser)
    asked = ConnectionRequest.objects.get()
    page = f"/admin/accounts/user/{applicant.pk}/identity/"
    as_supervisor.post(page, {"request": asked.pk})
    applicant.refresh_from_db()
    assert not applicant.has_usable_password()
    came_back(browser)
    assert browser.session["_auth_user_id"] == str(applicant.pk)


def test_supervisor_cannot_connect_another_supervisor(provider, as_supervisor):
    other = SupervisorFactory(email=EMAIL)
    page = as_supervisor.get(f"/admin/accounts/user/{other.pk}/identity/")
    assert page.status_code == 403


@pytest.mark.parametrize("state", ["suspended", "inactive"])
def test_disabled_account_stays_out(browser, issuer, local, state):
    connected(local)
    if state == "suspended":
        User.objects.update(approval=User.Approval.SUSPENDED)
    else:
        User.objects.update(is_active=False)
    person_at(issuer, groups=["xray-heads"])
    came_back(browser)
    assert not is_signed_in(browser)
    assert roles_of(local) == [roles.DOCTOR]


def test_another_issuer_is_somebody_else(browser, issuer, local, settings):
    connected(local)
    other = dataclasses.replace(settings.SSO, issuer="https://other.example")
    assert config.key_of(other) != config.key_of(settings.SSO)


# --- Second factor, passwords, signing out ----------------------------------------------------


def test_own_second_factor_is_asked_for_unless_the_provider_states_one(browser, issuer, local):
    connected(local)
    TOTP.activate(local, generate_totp_secret())
    person_at(issuer)
    assert came_back(browser).headers["Location"] == "/accounts/2fa/authenticate/"
    assert not is_signed_in(browser)
    person_at(issuer, amr=["pwd", "mfa"])
    came_back(browser)
    assert is_signed_in(browser)
    assert Authenticator.objects.exists()


def test_password_can_be_switched_off(browser, issuer, local, settings):
    connected(local)
    with_settings(settings, has_passwords=False)
    page = browser.post("/accounts/login/", {"login": EMAIL, "password": PASSWORD}, follow=True)
    assert "Use “Sign in with Example Hospital”" in page.content.decode()
    assert not is_signed_in(browser)
    other = DoctorFactory()
    browser.post("/accounts/login/", {"login": other.email, "password": PASSWORD})
    assert is_signed_in(browser), "accounts without a provider keep their password"


def test_superuser_keeps_the_password(provider, settings):
    user = UserFactory(is_superuser=True)
    connected(user)
    with_settings(settings, has_passwords=False)
    assert not config.must_use_provider(user)


def test_signing_out_ends_the_session_at_the_provider(browser, issuer, local, settings):
    connected(local)
    person_at(issuer)
    came_back(browser)
    with_settings(settings, signs_out=True)
    location = browser.post("/accounts/logout/").headers["Location"]
    assert location.startswith(f"{issuer}/")
    assert "post_logout_redirect_uri=http%3A%2F%2Ftestserver%2F" in location
    browser.post("/accounts/login/", {"login": EMAIL, "password": PASSWORD})
    assert browser.post("/accounts/logout/").headers["Location"] == "/"


# --- What goes wrong --------------------------------------------------------------------------


def test_provider_that_is_down(browser, settings):
    with_settings(settings, issuer="http://localhost:9")
    page = browser.post(LOGIN)
    assert page.status_code == 503
    assert "does not respond" in page.content.decode()
    assert reasons() == ["unreachable"]


def id_token(change: Callable[[dict, str], str]):
    """Let the provider send another ID token than the one it made."""
    from accounts.sso.provider import HospitalOIDCAdapter

    decode = HospitalOIDCAdapter._decode_id_token

    def changed(self, app, token):
        claims = jwt.decode(token, options={"verify_signature": False})
        return decode(self, app, change(claims, token))

    return mock.patch.object(HospitalOIDCAdapter, "_decode_id_token", changed)


def by_another_key(claims: dict, token: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = jwt.get_unverified_header(token).get("kid")
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid} if kid else None)


def unsigned(claims: dict, token: str) -> str:
    return jwt.encode(claims, "", algorithm="none")


@pytest.mark.parametrize("forged", [by_another_key, unsigned])
def test_wrong_signature(browser, issuer, forged, caplog):
    person_at(issuer)
    with id_token(forged):
        page = came_back(browser)
    assert page.status_code == 401
    assert "not signed with the key" in page.content.decode()
    assert reasons() == ["signature"]
    assert "wang" not in caplog.text
    assert not User.objects.exists()


@pytest.mark.parametrize(("hours", "reason"), [(-3, "clock"), (3, "clock"), (0.01, None)])
def test_clocks_that_differ(browser, issuer, hours, reason):
    person_at(issuer)
    shifted = time.time() + hours * 3600
    with mock.patch("authlib.oidc.core.grants.util.time.time", return_value=shifted):
        came_back(browser)
    assert reasons() == ([reason] if reason else [])


def test_token_for_another_program(browser, issuer):
    person_at(issuer)
    begun = browser.post(LOGIN).headers["Location"]
    elsewhere = begun.replace("client_id=xraysite", "client_id=another")
    response = requests.post(elsewhere, data={"sub": "p-1"}, allow_redirects=False, timeout=5)
    back = urllib.parse.urlsplit(response.headers["Location"])
    assert browser.get(f"{back.path}?{back.query}").status_code == 401
    assert not is_signed_in(browser)


def test_answer_is_used_once_and_in_its_browser(browser, issuer):
    person_at(issuer)
    begun = browser.post(LOGIN).headers["Location"]
    response = requests.post(begun, data={"sub": "p-1"}, allow_redirects=False, timeout=5)
    back = urllib.parse.urlsplit(response.headers["Location"])
    page = f"{back.path}?{back.query}"
    assert Client(headers={"host": "testserver"}).get(page).status_code == 401
    assert browser.get(page).status_code == 302
    browser.post("/accounts/logout/")
    assert "already used" in browser.get(page, headers={"accept-language": "en"}).content.decode()
    assert reasons() == ["used", "used"]


def test_cancelling_leads_back(browser):
    begun = urllib.parse.urlsplit(browser.post(LOGIN).headers["Location"])
    state = urllib.parse.parse_qs(begun.query)["state"][0]
    page = browser.get(f"/accounts/sso/oidc/callback/?error=access_denied&state={state}")
    assert "You cancelled" in page.content.decode()


def test_sign_in_starts_from_this_site_only(provider):
    """A page of another site cannot sign the browser in, nor add parameters to the request."""
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(LOGIN).status_code == 403
    assert browser.get(LOGIN).status_code == 405
    begun = Client(headers={"host": "testserver"}).post(
        f"{LOGIN}?auth_params=redirect_uri%3Dhttps://evil.example&scope=admin"
    )
    assert "evil" not in begun.headers["Location"]
    assert "admin" not in begun.headers["Location"]
    assert "code_challenge_method=S256" in begun.headers["Location"]


def test_attempts_are_limited(browser):
    with override_settings(ACCOUNT_RATE_LIMITS={"sso": "2/m/ip"}):
        assert [browser.post(LOGIN).status_code for _ in range(3)] == [302, 302, 429]
