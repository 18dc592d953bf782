"""Signing in with a hospital's SAML provider, which is the tests' own."""

import datetime as dt

import pytest
from django.test import Client

from accounts import roles
from accounts.audit.models import AuditEntry
from accounts.models import User
from tests.accounts import saml_provider as idp
from xraysite.common.sign_in_provider import SAML, SignInProvider

ACS = "http://testserver/accounts/sso/saml/hospital/acs/"
AUDIENCE = "http://testserver/accounts/sso/saml/hospital/metadata/"
LOGIN = "/accounts/sso/saml/hospital/login/"


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    return idp.new_key()


@pytest.fixture
def provider(settings, keys, db) -> SignInProvider:
    settings.SSO = SignInProvider(
        kind=SAML,
        name="Example Hospital",
        name_zh="範例醫院",
        issuer=idp.ENTITY,
        sign_in_url=idp.SIGN_IN,
        certificate=keys[1],
        groups={roles.DOCTOR: frozenset({"xray-doctors"})},
        email_domains=frozenset({"hospital.example"}),
        second_factor=frozenset({idp.MULTI_FACTOR}),
        approves=True,
    )
    return settings.SSO


@pytest.fixture
def browser(provider) -> Client:
    return Client(headers={"accept-language": "en", "host": "testserver"})


def begun(browser: Client) -> str:
    """Start a sign-in and return the id of the request that the provider gets."""
    location = browser.post(LOGIN).headers["Location"]
    assert location.startswith(idp.SIGN_IN)
    return str(idp.request_in(location).get("ID"))


def arrived(browser: Client, posted: str):
    """Bring the provider's response as a browser does, and return the page."""
    response = browser.post("/accounts/sso/saml/hospital/acs/", {"SAMLResponse": posted})
    assert response.status_code == 302, response.content.decode()
    return browser.get(response.headers["Location"])


def answer(request_id: str, keys, person=None, **changes) -> str:
    facts = {"answers": request_id, "audience": AUDIENCE, "acs": ACS} | changes
    inner = idp.signed(idp.assertion(person or idp.Person(), **facts), *keys)
    return idp.response(inner, answers=request_id, acs=ACS)


def refused(browser: Client, page, reason: str) -> str:
    """Check that nobody is signed in, and that the log has the reason and no person."""
    assert page.status_code in {401, 403}
    assert "_auth_user_id" not in browser.session
    row = AuditEntry.objects.filter(what="sign-in-by-provider-failed").latest("pk")
    assert row.additional_data == {"reason": reason}
    assert "hospital.example" not in str(row.object_repr)
    return page.content.decode()


def test_member_of_a_named_group_is_signed_in(browser, keys):
    page = arrived(browser, answer(begun(browser), keys))
    assert page.status_code == 302
    user = User.objects.get(email="wang@hospital.example")
    assert user.display_name == "王怡君"
    assert user.is_approved
    assert not user.has_usable_password()
    assert browser.get("/readings/").status_code == 200
    assert AuditEntry.objects.filter(what="sign-in-by-provider").exists()


def test_stated_second_factor_is_trusted(browser, keys, provider, settings):
    import dataclasses

    settings.SSO = dataclasses.replace(
        provider, groups={roles.SUPERVISOR: frozenset({"xray-doctors"})}
    )
    arrived(browser, answer(begun(browser), keys))
    assert browser.get("/admin/").headers["Location"] == "/accounts/second-factor/"
    browser.post("/accounts/logout/")
    arrived(browser, answer(begun(browser), keys, idp.Person(context=idp.MULTI_FACTOR)))
    assert browser.get("/admin/").status_code == 200


def test_metadata_describes_the_site(browser):
    page = browser.get("/accounts/sso/saml/hospital/metadata/")
    assert ACS in page.content.decode()
    assert "SingleLogoutService" not in page.content.decode()
    assert browser.get("/accounts/sso/saml/hospital/sls/").status_code == 404


def test_another_key_signs_nobody_in(browser, caplog):
    text = refused(browser, arrived(browser, answer(begun(browser), idp.new_key())), "signature")
    assert "not signed with the key" in text
    assert "wang" not in caplog.text


def test_unsigned_assertion_signs_nobody_in(browser):
    request_id = begun(browser)
    inner = idp.assertion(idp.Person(), answers=request_id, audience=AUDIENCE, acs=ACS)
    page = arrived(browser, idp.response(inner, answers=request_id, acs=ACS))
    refused(browser, page, "signature")


def test_changed_assertion_signs_nobody_in(browser, keys):
    import base64

    posted = base64.b64decode(answer(begun(browser), keys)).replace(b"wang@", b"head@")
    refused(browser, arrived(browser, base64.b64encode(posted).decode()), "signature")


def test_assertion_for_another_site_signs_nobody_in(browser, keys):
    page = arrived(browser, answer(begun(browser), keys, audience="https://other.example/"))
    assert "meant for another site" in refused(browser, page, "audience")


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_that_differ_are_named(browser, keys, hours):
    page = arrived(browser, answer(begun(browser), keys, shift=dt.timedelta(hours=hours)))
    assert "clock of one of the two servers is wrong" in refused(browser, page, "clock")


def test_response_is_used_once(browser, keys):
    posted = answer(begun(browser), keys)
    arrived(browser, posted)
    browser.post("/accounts/logout/")
    assert "already used" in refused(browser, arrived(browser, posted), "used")


def test_response_to_another_browser_signs_nobody_in(browser, keys):
    posted = answer(begun(Client(headers={"host": "testserver"})), keys)
    refused(browser, arrived(browser, posted), "used")


def test_unsolicited_response_signs_nobody_in(browser, keys):
    inner = idp.signed(idp.assertion(idp.Person(), answers="", audience=AUDIENCE, acs=ACS), *keys)
    page = arrived(browser, idp.response(inner, answers="", acs=ACS))
    assert "did not ask for this sign-in" in refused(browser, page, "unsolicited")


def test_wrapped_signature_signs_nobody_in(browser, keys):
    request_id = begun(browser)
    facts = {"answers": request_id, "audience": AUDIENCE, "acs": ACS}
    genuine = idp.signed(idp.assertion(idp.Person(), **facts), *keys)
    forged = idp.assertion(idp.Person(uid="head", email="head@hospital.example"), **facts,
                           ident="_forged")  # fmt: skip
    for inner in (idp.wrapped(genuine, forged), forged + genuine, genuine + forged):
        page = arrived(browser, idp.response(inner, answers=request_id, acs=ACS))
        assert page.status_code == 401
        assert not User.objects.exists()


def test_passing_identifier_signs_nobody_in(browser, keys):
    person = idp.Person(name_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient")
    page = arrived(browser, answer(begun(browser), keys, person))
    refused(browser, page, "no-identifier")


def test_address_that_is_not_confirmed_signs_nobody_in(browser, keys):
    person = idp.Person(email="wang@elsewhere.example")
    page = arrived(browser, answer(begun(browser), keys, person))
    refused(browser, page, "unverified")
    assert not User.objects.exists()
