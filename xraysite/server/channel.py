"""One client's connection, with deadlines."""

import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask
from waitress.utilities import Error

from xraysite.common.environ import WAITED
from xraysite.server.limits import Limits

# The states of a connection.
IDLE, HEADERS, BODY, WORKING, ANSWERING = "idle", "headers", "body", "working", "answering"


class InsufficientStorageError(Error):
    code = 507
    reason = "Insufficient Storage"


def session_of(request: Any, cookie: str) -> str:
    """Return what tells whose request it is: a program's token or the session cookie, or ""."""
    kind, _, token = request.headers.get("AUTHORIZATION", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return f"token {token.strip()}"
    for pair in request.headers.get("COOKIE", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == cookie:
            return str(value)
    return ""


class RequestParser(HTTPRequestParser):
    """Parses a request; refuses ambiguous lengths, and large bodies without session or token."""

    adj: Any

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers.

        Raises:
            ParsingError: the body's length is ambiguous (RFC 9112, 6.1), so that a proxy in front
                might see other requests than this server.
        """
        start, _, rest = header_plus.partition(b"\r\n")
        names = [line.partition(b":")[0].lower() for line in rest.split(b"\r\n")]
        if b"transfer-encoding" in names and (
            b"content-length" in names or not start.rstrip().endswith(b"HTTP/1.1")
        ):
            raise ParsingError("Transfer-Encoding is ambiguous here.")
        super().parse_header(header_plus)
        if not session_of(self, self.adj.session_cookie):
            self.adj = self.adj.anonymous

    def received(self, data: bytes) -> int:
        try:
            return super().received(data)
        except OSError as error:  # the folder of temporary files is full or read-only
            self.error = InsufficientStorageError(f"The upload cannot be stored: {error.strerror}")
            self.completed = True
            return len(data)


class Task(WSGITask):
    """Answers a request; tells the site how long it waited as an upload."""

    channel: Any

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        if self.channel.waited is not None:
            environ[WAITED] = self.channel.waited
        return environ


class Channel(HTTPChannel):
    """A connection that knows what it waits for, and since when.

    Attributes:
        waited: seconds for which its upload waited for a thread; None for other requests.
    """

    parser_class = RequestParser
    task_class = Task
    request: Any
    waited: float | None = None

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        self.state, self.since = HEADERS, time.monotonic()
        self.sent = 0
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def address(self) -> str:
        return str(self.addr[0])

    @property
    def body_bytes(self) -> int:
        """Bytes received of a body that is not complete yet."""
        return self.request.body_bytes_received if self.request is not None else 0

    def received(self, data: bytes) -> Any:
        result = super().received(data)
        if self.server.draining:
            # The client opens a new connection, to a process that stays.
            with self.requests_lock:
                for request in self.requests:
                    request.headers["CONNECTION"] = "close"
        self.look()
        return result

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        self.sent += sent
        return sent

    def service(self) -> None:
        super().service()
        self.server.served()

    def look(self) -> str:
        """Return what the connection is doing, and note when that began."""
        if self.total_outbufs_len:
            state = ANSWERING
        elif self.requests:
            state = WORKING
        elif self.request is None:
            state = HEADERS if self.state == HEADERS else IDLE
        else:
            state = BODY if self.request.headers_finished else HEADERS
        if state != self.state:
            self.state, self.since, self.sent = state, time.monotonic(), 0
        return state

    def is_late(self, now: float, limits: Limits, *, draining: bool = False) -> bool:
        """Return whether the client has taken longer than it may."""
        state, seconds = self.look(), now - self.since
        if state == IDLE:
            return seconds > (min(2.0, limits.keep_alive_seconds) if draining
                              else limits.keep_alive_seconds)  # fmt: skip
        if state == HEADERS:
            return seconds > limits.header_seconds
        if state == BODY:
            return seconds > limits.grace_seconds + self.body_bytes / limits.bytes_per_second
        if state == ANSWERING:
            return seconds > limits.grace_seconds + self.sent / limits.bytes_per_second
        return False

    def drop(self, status: str = "") -> None:
        """Close the connection; with `status`, say why if nothing else was being sent."""
        if status and self.state in {HEADERS, BODY} and self.request is not None:
            answer = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            super().send(answer.encode(), do_close=False)
        if self.request is not None:
            self.request.close()
            self.request = None
        self.handle_close()
