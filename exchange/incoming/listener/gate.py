"""Who may open an association."""

import hashlib
import ssl
from typing import Any

from exchange.incoming.models import Peer
from exchange.incoming.models.peer import fingerprint_in

# Result, source and diagnostic of A-ASSOCIATE-RJ (PS3.8, 9.3.4).
UNKNOWN_CALLER = (1, 1, 3)
UNKNOWN_CALLED = (1, 1, 7)
BUSY = (2, 3, 1)


class RefusedError(Exception):
    """Raised when an association is refused.

    Attributes:
        answer: what the peer is told.
    """

    def __init__(self, why: str, answer: tuple[int, int, int] = UNKNOWN_CALLER) -> None:
        super().__init__(why)
        self.answer = answer


def certificate_of(connection: Any) -> str | None:
    """Return the SHA-256 of a client's certificate; None without TLS."""
    if not isinstance(connection, ssl.SSLSocket):
        return None
    certificate = connection.getpeercert(binary_form=True) or b""
    return hashlib.sha256(certificate).hexdigest()


def check(
    *, calling_ae: str, called_ae: str, own_ae: str, address: str, certificate: str | None
) -> Peer:
    """Return the machine that may open an association.

    Raises:
        RefusedError: it may not.
    """
    if called_ae != own_ae:
        raise RefusedError(f"it calls {called_ae!r}", UNKNOWN_CALLED)
    peer = Peer.objects.filter(ae_title=calling_ae, is_active=True).first()
    if peer is None:
        raise RefusedError("its AE title is unknown")
    if not peer.connects_from(address):
        raise RefusedError("it may not connect from there")
    if peer.needs_tls and certificate is None:
        raise RefusedError("it must use TLS")
    if peer.certificate and fingerprint_in(peer.certificate) != certificate:
        raise RefusedError("its certificate is another one")
    return peer
