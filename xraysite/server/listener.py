"""A listening socket whose connections are limited in time and number."""

import copy
import http
import itertools
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer, UnixWSGIServer

from xraysite.server.channel import BODY, HEADERS, IDLE, Channel
from xraysite.server.lanes import Lanes
from xraysite.server.limits import MAX_HEADER_BYTES, Limits

TOO_SLOW = f"408 {http.HTTPStatus.REQUEST_TIMEOUT.phrase}"
TOO_MANY = f"503 {http.HTTPStatus.SERVICE_UNAVAILABLE.phrase}"


class Connections:
    """The connections of a web process.

    Args:
        limits: what a client may use.
        is_proxy: whether an address is that of a trusted proxy, which connects for many clients.
    """

    def __init__(self, limits: Limits, *, is_proxy: Callable[[str], bool]) -> None:
        self.limits, self.is_proxy = limits, is_proxy
        self.draining = False
        self.requests = 0
        self._finished = itertools.count(1)
        self._map: dict[int, Any] = {}
        self._checked = 0.0

    @property
    def map(self) -> dict[int, Any]:
        """Sockets by file descriptor, as the event loop expects them."""
        return self._map

    def channels(self) -> list[Channel]:
        return [entry for entry in list(self._map.values()) if isinstance(entry, Channel)]

    def step(self, timeout: float) -> None:
        """Wait for events for at most `timeout` seconds, and handle them."""
        wasyncore.poll2(timeout, self._map)
        self.check()

    def check(self) -> None:
        """Close connections that are late; at most once a second."""
        now = time.monotonic()
        if now - self._checked < 1 and not self.draining:
            return
        self._checked = now
        for channel in self.channels():
            if channel.is_late(now, self.limits, draining=self.draining):
                channel.drop(TOO_SLOW)
        self._limit_waiting_bodies()

    def count_request(self) -> None:
        self.requests = next(self._finished)

    def make_room(self, address: str) -> bool:
        """Close a connection that waits for its client, if another one would be too many.

        Of the address's own connections if it has too many, otherwise of the address with the
        most. Idle ones are closed first, then the one that has been waited for the longest. A
        request that is being answered is never interrupted.

        Returns:
            False if nothing can be closed.
        """
        channels = self.channels()
        counts = Counter(channel.address for channel in channels)
        limit = self.limits.connections_per_address
        if counts[address] >= limit and not self.is_proxy(address):
            return self._close_one(channel for channel in channels if channel.address == address)
        if len(channels) < self.limits.connections:
            return True
        return any(
            self._close_one(channel for channel in channels if channel.address == most)
            for most, _ in counts.most_common()
        )

    def _close_one(self, channels: Iterable[Channel]) -> bool:
        waiting = [channel for channel in channels if channel.look() in {IDLE, HEADERS, BODY}]
        if not waiting:
            return False
        first = min(waiting, key=lambda channel: (channel.state != IDLE, channel.since))
        first.drop(TOO_MANY)
        return True

    def _limit_waiting_bodies(self) -> None:
        receiving = sorted(
            (channel for channel in self.channels() if channel.look() == BODY),
            key=lambda channel: channel.body_bytes,
        )
        total = sum(channel.body_bytes for channel in receiving)
        while receiving and total > self.limits.waiting_bytes:
            largest = receiving.pop()
            total -= largest.body_bytes
            largest.drop(TOO_MANY)


class _Limited:
    """What both kinds of listening sockets add to waitress's."""

    channel_class = Channel
    connections: Connections

    @property
    def draining(self) -> bool:
        return self.connections.draining

    def readable(self) -> bool:
        return not self.draining

    def served(self) -> None:
        self.connections.count_request()

    def handle_accept(self) -> None:
        # Several at a time: connections that flood in must not wait for one round each.
        for _ in range(16):
            before = len(self.connections.map)
            super().handle_accept()  # type: ignore[misc]
            if len(self.connections.map) == before:
                return

    def set_socket_options(self, conn: Any) -> None:
        super().set_socket_options(conn)  # type: ignore[misc]
        peer = conn.getpeername()
        address = str(peer[0]) if isinstance(peer, tuple) else "localhost"
        if not self.connections.make_room(address):
            conn.close()
            raise OSError(f"{address} has too many open requests.")


class TcpListener(_Limited, TcpWSGIServer):
    """A listening TCP socket."""


class UnixListener(_Limited, UnixWSGIServer):
    """A listening Unix socket."""


def adjustments(limits: Limits, *, threads: int, session_cookie: str) -> Adjustments:
    """Return waitress's settings; a body without the session cookie may be small only."""
    made = Adjustments(
        threads=threads,
        ident=None,
        clear_untrusted_proxy_headers=False,  # `xraysite.common.client_address` reads them
        log_socket_errors=False,
        max_request_header_size=MAX_HEADER_BYTES,
        max_request_body_size=limits.body_bytes,
        outbuf_high_watermark=64 * 2**20,
        recv_bytes=65_536,
    )
    made.limits, made.session_cookie = limits, session_cookie
    made.anonymous = made
    anonymous = copy.copy(made)
    anonymous.max_request_body_size = limits.anonymous_body_bytes
    made.anonymous = anonymous
    return made


def listen(
    application: Callable[..., Iterable[bytes]],
    sock: socket.socket,
    *,
    connections: Connections,
    dispatcher: Lanes,
    settings: Adjustments,
) -> TcpListener | UnixListener:
    """Serve an application on a socket that listens already."""
    is_unix = sock.family == socket.AF_UNIX
    listener = (UnixListener if is_unix else TcpListener)(
        application, connections.map, _start=False, _sock=sock,
        dispatcher=dispatcher, adj=settings, bind_socket=False,
        sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
    )  # fmt: skip
    listener.connections = connections
    listener.accepting = True
    return listener
