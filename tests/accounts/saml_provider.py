"""A small SAML identity provider of the tests: it signs what it is told to, right or wrong."""

import base64
import datetime as dt
import zlib
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils

ENTITY = "https://idp.hospital.example/saml"
SIGN_IN = "https://idp.hospital.example/sso"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
MULTI_FACTOR = "https://refeds.org/profile/mfa"
NS = {"p": "urn:oasis:names:tc:SAML:2.0:protocol", "a": "urn:oasis:names:tc:SAML:2.0:assertion"}


def new_key() -> tuple[str, str]:
    """Return a private key and its certificate, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.hospital.example")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def request_in(location: str) -> etree._Element:
    """Return the AuthnRequest of a redirect to the provider."""
    packed = parse_qs(urlsplit(location).query)["SAMLRequest"][0]
    return etree.fromstring(zlib.decompress(base64.b64decode(packed), -15))


@dataclass
class Person:
    """Whom the provider knows."""

    uid: str = "p-4711"
    email: str = "wang@hospital.example"
    name: str = "王怡君"
    groups: list[str] = field(default_factory=lambda: ["xray-doctors"])
    context: str = PASSWORD
    name_format: str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


def assertion(
    person: Person,
    *,
    answers: str,
    audience: str,
    acs: str,
    shift: dt.timedelta = dt.timedelta(),
    ident: str = "_assertion",
) -> str:
    """Return an unsigned assertion about `person`.

    Args:
        answers: the id of the request.
        audience: the entity ID of the site.
        acs: where the assertion may be used.
        shift: how far the provider's clock is off.
    """
    now = dt.datetime.now(dt.UTC) + shift

    def at(seconds: int) -> str:
        return f"{now + dt.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"

    def attribute(name: str, values: list[str]) -> str:
        inner = "".join(f"<a:AttributeValue>{escape(value)}</a:AttributeValue>" for value in values)
        return f'<a:Attribute Name="{name}">{inner}</a:Attribute>'

    reply = f'InResponseTo="{answers}"' if answers else ""
    return f"""<a:Assertion xmlns:a="{NS["a"]}" ID="{ident}" Version="2.0" IssueInstant="{at(0)}">
<a:Issuer>{ENTITY}</a:Issuer>
<a:Subject><a:NameID Format="{person.name_format}">{escape(person.uid)}</a:NameID>
<a:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
<a:SubjectConfirmationData NotOnOrAfter="{at(300)}" Recipient="{acs}" {reply}/>
</a:SubjectConfirmation></a:Subject>
<a:Conditions NotBefore="{at(-60)}" NotOnOrAfter="{at(300)}">
<a:AudienceRestriction><a:Audience>{audience}</a:Audience></a:AudienceRestriction></a:Conditions>
<a:AuthnStatement AuthnInstant="{at(0)}" SessionIndex="s1"><a:AuthnContext>
<a:AuthnContextClassRef>{person.context}</a:AuthnContextClassRef></a:AuthnContext>
</a:AuthnStatement><a:AttributeStatement>{attribute("email", [person.email])}
{attribute("displayName", [person.name])}{attribute("groups", person.groups)}
</a:AttributeStatement></a:Assertion>"""


def response(inner: str, *, answers: str, acs: str) -> str:
    """Return a successful response around assertions, base64-encoded as a browser posts it."""
    reply = f'InResponseTo="{answers}"' if answers else ""
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    text = f"""<p:Response xmlns:p="{NS["p"]}" xmlns:a="{NS["a"]}" ID="_response" Version="2.0"
IssueInstant="{now}" Destination="{acs}" {reply}><a:Issuer>{ENTITY}</a:Issuer>
<p:Status><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></p:Status>
{inner}</p:Response>"""
    return base64.b64encode(text.encode()).decode()


def signed(xml: str, key: str, certificate: str) -> str:
    """Return an assertion with an enveloped signature by `key`."""
    found = OneLogin_Saml2_Utils.add_sign(xml, key, certificate)
    text = found.decode() if isinstance(found, bytes) else found
    return text.removeprefix("<?xml version='1.0' encoding='UTF-8'?>").strip()


def wrapped(genuine: str, forged: str) -> str:
    """Return a forged assertion that carries the genuine, signed one inside (XSW attack)."""
    outer, inner = etree.fromstring(forged), etree.fromstring(genuine)
    signature = inner.find("{http://www.w3.org/2000/09/xmldsig#}Signature")
    assert signature is not None
    outer.insert(1, signature)
    holder = etree.SubElement(signature, "{http://www.w3.org/2000/09/xmldsig#}Object")
    holder.append(inner)
    return etree.tostring(outer).decode()
