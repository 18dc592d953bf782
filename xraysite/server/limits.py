"""How long a client may take, and how many connections it may hold."""

from dataclasses import dataclass

MAX_HEADER_BYTES = 32 * 2**10


@dataclass(frozen=True)
class Limits:
    """Limits of one web process.

    Attributes:
        header_seconds: time to send a request's headers, from the first byte or, on a new
            connection, from its start.
        grace_seconds: time that a body or a response may take whatever its rate.
        bytes_per_second: average rate below which a body or a response is cut off afterwards.
        keep_alive_seconds: time that a connection may stay open between two requests.
        connections: connections of all clients together.
        connections_per_address: connections of one address, except of a trusted proxy.
        body_bytes: size of a request's body.
        anonymous_body_bytes: size of the body of a request without a session cookie or token.
        waiting_bytes: bodies of all requests that are still being received.
    """

    header_seconds: float = 10.0
    grace_seconds: float = 20.0
    bytes_per_second: float = 1000.0
    keep_alive_seconds: float = 5.0
    connections: int = 1000
    connections_per_address: int = 500
    body_bytes: int = 256 * 2**20
    anonymous_body_bytes: int = 2**20
    waiting_bytes: int = 2 * 2**30
