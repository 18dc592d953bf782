"""X-rays that wait in a doctor's browser for the line, sealed so that only the account opens them.

The browser encrypts each X-ray to the account's public key and keeps nothing that could decrypt it.
The account's private key never leaves the server: it follows from `SECRET_KEY` and the account's
number, so nothing is stored. Once the doctor has signed in again, the server hands out the key of
one X-ray at a time (ECIES: ephemeral ECDH on P-256, HKDF-SHA-256, AES-256-GCM in the browser). See
docs/decisions/0056.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.urls import reverse
from django.utils.encoding import force_bytes

from diagnosis.models import Reading
from diagnosis.services import pending

if TYPE_CHECKING:
    from accounts.models import User

CURVE = ec.SECP256R1()
ORDER = CURVE.group_order
ACCOUNT_INFO = b"xraysite offline account "
FILM_INFO = b"xraysite offline film "
POINT_BYTES = 65  # an uncompressed point


class InvalidSealError(ValueError):
    """Raised when what a browser sent is no public key on the curve."""


class KeyForgottenError(Exception):
    """Raised when an X-ray is sealed to a key that the site no longer has."""


@dataclass(frozen=True)
class PublicKey:
    """An account's public key.

    Attributes:
        point: the key as an uncompressed point, 65 bytes.
        id: names the key, since it changes with `SECRET_KEY`.
    """

    point: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(self.point).hexdigest()[:16]


def public_key(doctor: "User") -> PublicKey:
    """Return the key to which the doctor's browsers seal X-rays."""
    return _public(_private_key(settings.SECRET_KEY, doctor))


def film_key(*, doctor: "User", submission: uuid.UUID, ephemeral: bytes, key_id: str) -> bytes:
    """Return the AES-256 key of one X-ray that was sealed for the doctor.

    Args:
        doctor: the account that it was sealed for; for any other, the key decrypts nothing.
        submission: the id of its form.
        ephemeral: the public key that its browser made for it, an uncompressed point.
        key_id: the id of the account's key that it was sealed to.

    Raises:
        InvalidSealError: `ephemeral` is no point on the curve.
        KeyForgottenError: the site has no key of that id for the account.
    """
    try:
        sender = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, ephemeral)
    except ValueError as error:
        raise InvalidSealError(str(error)) from None
    for secret in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]:
        private = _private_key(secret, doctor)
        public = _public(private)
        if public.id == key_id:
            salt, info = ephemeral + public.point, FILM_INFO + str(submission).encode()
            derivation = HKDF(algorithm=SHA256(), length=32, salt=salt, info=info)
            return derivation.derive(private.exchange(ec.ECDH(), sender))
    raise KeyForgottenError


def address_if_sent(doctor: "User", submission: uuid.UUID) -> str | None:
    """Return the page of a form that has arrived already: its reading, or what it asks.

    None if it has to be sent.
    """
    made = Reading.objects.own_of(doctor).filter(pk=submission).only("pk").first()
    if made is not None:
        return made.get_absolute_url()
    waiting = pending.find(doctor, submission)
    if waiting is not None and waiting.data:
        return reverse("readings:check", args=[submission])
    return None


def _private_key(secret: str | bytes, doctor: "User") -> ec.EllipticCurvePrivateKey:
    # 48 bytes for a number below 2^256: its remainder is as good as evenly distributed.
    derivation = HKDF(
        algorithm=SHA256(), length=48, salt=None, info=ACCOUNT_INFO + str(doctor.pk).encode()
    )
    seed = int.from_bytes(derivation.derive(force_bytes(secret)))
    return ec.derive_private_key(seed % (ORDER - 1) + 1, CURVE)


def _public(private: ec.EllipticCurvePrivateKey) -> PublicKey:
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return PublicKey(point)
