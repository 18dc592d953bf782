"""The hospital's sign-in provider (OpenID Connect or SAML), as the environment describes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from xraysite.common.env import env

OIDC, SAML = "oidc", "saml"
ROLES = ("doctor", "supervisor", "ml_staff")
# What providers call a person's attributes, the likeliest first.
ATTRIBUTES: dict[str, dict[str, tuple[str, ...]]] = {
    OIDC: {"email": ("email",), "name": ("name",), "groups": ("groups",), "id": ("sub",)},
    SAML: {
        "email": (
            "urn:oid:0.9.2342.19200300.100.1.3",
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
            "email",
            "mail",
        ),
        "name": (
            "urn:oid:2.16.840.1.113730.3.1.241",
            "http://schemas.microsoft.com/identity/claims/displayname",
            "displayName",
            "name",
        ),
        "groups": (
            "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
            "http://schemas.xmlsoap.org/claims/Group",
            "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
            "groups",
        ),
        "id": ("urn:oasis:names:tc:SAML:attribute:subject-id",),
    },
}


@dataclass(frozen=True)
class SignInProvider:
    """How to sign in with the hospital's account, and what the provider decides.

    Attributes:
        kind: `OIDC` or `SAML`.
        name, name_zh: the hospital's name in English and in Chinese.
        issuer: the issuer's URL (OIDC) or the provider's entity ID (SAML).
        attributes: by "email", "name", "groups" and "id", the names of the claims or attributes.
        groups: by role, the provider's groups whose members have it.
        approves: whether members of these groups need no supervisor's approval.
        second_factor: values of `amr`, `acr` or AuthnContext that mean a second factor.
        email_domains: domains whose addresses the provider vouches for.
        has_passwords: whether accounts of the provider may also sign in without it.
        signs_out: whether signing out also signs out at the provider.
        origins: origins to which forms may lead, for the Content Security Policy.
    """

    kind: str
    name: str
    issuer: str
    name_zh: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    metadata_url: str = ""
    sign_in_url: str = ""
    certificate: str = ""
    wants_signed: str = "assertion"
    own_key: str = field(default="", repr=False)
    own_certificate: str = ""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    approves: bool = False
    second_factor: frozenset[str] = frozenset()
    email_domains: frozenset[str] = frozenset()
    has_passwords: bool = True
    signs_out: bool = False
    sign_out_url: str = ""
    origins: tuple[str, ...] = ()

    def names_of(self, what: str) -> tuple[str, ...]:
        """Return the names under which the provider may send `what`."""
        return self.attributes.get(what) or ATTRIBUTES[self.kind][what]

    def roles_of(self, groups: Iterable[str]) -> set[str]:
        """Return the roles that membership of `groups` gives."""
        held = set(groups)
        return {role for role, named in self.groups.items() if held & named}


def from_environment() -> SignInProvider | None:
    """Return the provider that the variables `SSO` and `SSO_…` describe; None without `SSO`.

    Raises:
        ImproperlyConfigured: a variable is missing or has an impossible value.
    """
    kind = env.str("SSO", default="")
    if not kind:
        return None
    if kind not in (OIDC, SAML):
        raise ImproperlyConfigured(f"SSO must be oidc, saml or empty. Received: {kind!r}.")
    own = _oidc() if kind == OIDC else _saml()
    sign_out_url = _url("SSO_SIGN_OUT_URL", required=False)
    known = ("issuer",) if kind == OIDC else ("sign_in_url", "metadata_url")
    urls = [*(str(own[name]) for name in known), sign_out_url, *_list("SSO_ORIGINS", ",")]
    return SignInProvider(
        kind=kind,
        name=_required("SSO_NAME"),
        name_zh=env.str("SSO_NAME_ZH", default=""),
        attributes={
            what: tuple(_list(f"SSO_ATTRIBUTE_{what.upper()}", ",")) for what in ATTRIBUTES[kind]
        },
        groups={role: frozenset(_list(f"SSO_GROUPS_{role.upper()}", ";")) for role in ROLES},
        approves=env.bool("SSO_APPROVES", default=False),
        second_factor=frozenset(_list("SSO_SECOND_FACTOR", ",")),
        email_domains=frozenset(name.lower() for name in _list("SSO_EMAIL_DOMAINS", ",")),
        has_passwords=env.bool("SSO_PASSWORDS", default=True),
        signs_out=env.bool("SSO_SIGN_OUT", default=False),
        sign_out_url=sign_out_url,
        origins=tuple(dict.fromkeys(_origin(url) for url in urls if url)),
        **own,  # type: ignore[arg-type]
    )


def _oidc() -> dict[str, object]:
    scopes = _list("SSO_SCOPES", ",") or ["openid", "profile", "email"]
    return {
        "issuer": _url("SSO_ISSUER"),
        "client_id": _required("SSO_CLIENT_ID"),
        "client_secret": _secret("SSO_CLIENT_SECRET"),
        "scopes": tuple(scopes),
    }


def _saml() -> dict[str, object]:
    metadata_url = _url("SSO_METADATA_URL", required=False)
    wants_signed = env.str("SSO_WANT_SIGNED", default="assertion")
    if wants_signed not in ("assertion", "message", "both"):
        raise ImproperlyConfigured(
            f"SSO_WANT_SIGNED must be assertion, message or both. Received: {wants_signed!r}."
        )
    found: dict[str, object] = {
        "issuer": _required("SSO_ENTITY_ID"),
        "metadata_url": metadata_url,
        "sign_in_url": _url("SSO_SIGN_IN_URL", required=not metadata_url),
        "wants_signed": wants_signed,
        "own_key": _file("SSO_OWN_KEY_FILE"),
        "own_certificate": _file("SSO_OWN_CERTIFICATE_FILE"),
        "certificate": _file("SSO_CERTIFICATE_FILE"),
    }
    if not metadata_url and not found["certificate"]:
        raise ImproperlyConfigured("SAML needs SSO_CERTIFICATE_FILE or SSO_METADATA_URL.")
    if bool(found["own_key"]) != bool(found["own_certificate"]):
        raise ImproperlyConfigured("Set both SSO_OWN_KEY_FILE and SSO_OWN_CERTIFICATE_FILE.")
    return found


def _list(name: str, separator: str) -> list[str]:
    text: str = env.str(name, default="")
    return [value.strip() for value in text.split(separator) if value.strip()]


def _required(name: str) -> str:
    value: str = env.str(name, default="")
    if not value.strip():
        raise ImproperlyConfigured(f"With SSO set, {name} is required.")
    return value.strip()


def _secret(name: str) -> str:
    """Return the value of the variable `name`, or the content of the file `<name>_FILE`."""
    value: str = env.str(name, default="") or _file(f"{name}_FILE")
    if not value:
        raise ImproperlyConfigured(f"Set {name}, or {name}_FILE to a file that contains it.")
    return value.strip()


def _file(name: str) -> str:
    path: str = env.str(name, default="")
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"The file in {name} cannot be read ({type(error).__name__}). Received: {path!r}."
        ) from None


def _url(name: str, *, required: bool = True) -> str:
    read: Callable[[str], str] = _required if required else lambda name: env.str(name, default="")
    value = read(name).strip()
    if value:
        parts = urlsplit(value)
        is_local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise ImproperlyConfigured(f"{name} must be an https URL. Received: {value!r}.")
    return value


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
