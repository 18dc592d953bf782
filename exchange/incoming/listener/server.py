"""Accepting connections: with timeouts, TLS in the connection's own thread, and limits of size.

pynetdicom's own server makes the TLS handshake while nobody else can connect, waits for ever for
the rest of a message, and reads a message of any length into memory.
"""

import logging
import socket
import ssl
from contextlib import suppress
from typing import Any

from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

logger = logging.getLogger(__name__)

# Seconds without a byte.
TIMEOUT_S = 60
HANDSHAKE_S = 10
# Of one PDU; films come in many.
MAX_PDU = 256 * 1024
# PDUs of other kinds than data may be longer than what was agreed on.
LONGEST_PDU = 2 * 2**20
MAX_CONNECTIONS = 200


class PduTooLongError(OSError):
    """Raised when a peer announces a message that is longer than any may be."""


class Connection(RequestHandler):
    """A connection that may become an association."""

    def setup(self) -> None:
        request: Any = self.request
        if isinstance(request, ssl.SSLSocket):
            request.settimeout(HANDSHAKE_S)
            request.do_handshake()
        request.settimeout(TIMEOUT_S)

    def _create_association(self) -> Any:
        association: Any = super()._create_association()
        _limit(association.dul.socket)
        return association


def _limit(connection: Any) -> None:
    """Let a connection end when a message is announced that is too long, and close its socket."""
    receive = connection.recv

    def limited(length: int) -> bytearray:
        if length > LONGEST_PDU:
            raise PduTooLongError(f"A message of {length} bytes was announced.")
        return receive(length)

    def end() -> None:
        raw = connection.socket
        if raw is not None:
            with suppress(OSError):  # the peer may have closed it, but it is open here
                raw.shutdown(socket.SHUT_RDWR)
            raw.close()

    connection.recv = limited
    connection._shutdown_socket = end


class Server(ThreadedAssociationServer):
    """A listening port."""

    daemon_threads = True
    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, Any]:
        listening: Any = self.socket
        client, address = listening.accept()
        client.settimeout(TIMEOUT_S)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(
                client, server_side=True, do_handshake_on_connect=False
            )
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse connections beyond what the process can hold."""
        return len(self.ae.active_associations) < MAX_CONNECTIONS

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.warning("A connection from %s failed.", client_address[0], exc_info=True)


def tls_context(certificate: str, key: str, authority: str) -> ssl.SSLContext:
    """Return the TLS settings: clients need a certificate of the authority.

    Args:
        certificate: PEM file of the listener's certificate with its chain.
        key: PEM file of its key; if empty, the key is in the first file.
        authority: PEM file of the authority that issues the machines' certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key or None)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
