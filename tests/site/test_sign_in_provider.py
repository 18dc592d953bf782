"""The environment of the sign-in with a hospital's account."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from xraysite.common import sign_in_provider

OIDC = {
    "SSO": "oidc",
    "SSO_NAME": "Example Hospital",
    "SSO_ISSUER": "https://id.hospital.example/realms/staff",
    "SSO_CLIENT_ID": "xraysite",
    "SSO_CLIENT_SECRET": "a secret of the tests",
}
SAML = {
    "SSO": "saml",
    "SSO_NAME": "Example Hospital",
    "SSO_ENTITY_ID": "https://idp.hospital.example/",
    "SSO_SIGN_IN_URL": "https://idp.hospital.example/sso",
}


@pytest.fixture
def read(monkeypatch):
    def from_environment(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return sign_in_provider.from_environment()

    return from_environment


def test_off_without_a_provider(read):
    assert read({}) is None


def test_groups_may_contain_commas(read):
    provider = read(OIDC | {"SSO_GROUPS_DOCTOR": "CN=Doctors,OU=Staff; locums"})
    assert provider.roles_of(["CN=Doctors,OU=Staff"]) == {"doctor"}
    assert provider.roles_of(["locums", "kitchen"]) == {"doctor"}
    assert provider.roles_of(["CN=Doctors"]) == set()


def test_forms_may_lead_to_the_provider_only(read):
    provider = read(OIDC | {"SSO_ORIGINS": "https://login.hospital.example/x"})
    assert provider.origins == ("https://id.hospital.example", "https://login.hospital.example")


def test_secrets_come_from_files_and_are_not_shown(read, tmp_path):
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    provider = read(OIDC | {"SSO_CLIENT_SECRET": "", "SSO_CLIENT_SECRET_FILE": str(file)})
    assert provider.client_secret == "from a file"
    assert "from a file" not in repr(provider)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (OIDC | {"SSO": "ldap"}, "oidc, saml"),
        (OIDC | {"SSO_NAME": ""}, "SSO_NAME"),
        (OIDC | {"SSO_ISSUER": "http://id.hospital.example"}, "https"),
        (OIDC | {"SSO_CLIENT_SECRET": ""}, "SSO_CLIENT_SECRET_FILE"),
        (SAML, "SSO_CERTIFICATE_FILE"),
        (SAML | {"SSO_CERTIFICATE_FILE": "/nothing"}, "cannot be read"),
        (SAML | {"SSO_WANT_SIGNED": "nothing"}, "SSO_WANT_SIGNED"),
    ],
)
def test_what_is_missing_is_named(read, variables, words):
    with pytest.raises(ImproperlyConfigured, match=words):
        read(variables)
