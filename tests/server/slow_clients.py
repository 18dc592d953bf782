"""Clients that keep a server waiting, and clients that measure what others notice of it."""

import contextlib
import http.client
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Address = tuple[str, int]
# Complete except for the empty line that ends a request's headers.
HALF_REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "


def upload_head(size: int, *, cookie: str = "", path: str = "/readings/new/") -> bytes:
    """Return the headers of an upload of `size` bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {size}",
        *([f"Cookie: {cookie}"] if cookie else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class SlowClients(threading.Thread):
    """Sockets that send `head` and then one byte a second; a closed one is opened again.

    Args:
        address: host and port of the server.
        heads: what each socket sends first, one entry a socket.
        source: the local address to connect from.
        reopen: open a closed socket again, as an attacker would.
    """

    def __init__(
        self, address: Address, heads: list[bytes], *, source: str = "127.0.0.1",
        reopen: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(daemon=True)
        self.address, self.heads, self.source, self.reopen = address, heads, source, reopen
        self.stopping = threading.Event()
        self.closed: list[float] = []
        self.refused = 0
        self._selector = selectors.DefaultSelector()
        self._opened: dict[socket.socket, tuple[bytes, float]] = {}

    def __enter__(self) -> "SlowClients":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopping.set()
        self.join()

    def run(self) -> None:
        for head in self.heads:
            self._open(head)
        while not self.stopping.is_set():
            started = time.monotonic()
            for key, _ in self._selector.select(timeout=0):
                self._read(key.fileobj)  # type: ignore[arg-type]
            for connection in list(self._opened):
                with contextlib.suppress(BlockingIOError, OSError):
                    connection.send(b"x")
            self.stopping.wait(max(0.0, 1 - (time.monotonic() - started)))
        for connection in self._opened:
            connection.close()

    def _open(self, head: bytes) -> None:
        connection = socket.socket()
        connection.settimeout(2)
        try:
            connection.bind((self.source, 0))
            connection.connect(self.address)
            connection.sendall(head)
        except OSError:
            self.refused += 1
            connection.close()
            return
        connection.setblocking(False)
        self._opened[connection] = (head, time.monotonic())
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            return
        self._selector.unregister(connection)
        head, opened = self._opened.pop(connection)
        self.closed.append(time.monotonic() - opened)
        connection.close()
        if self.reopen:
            self._open(head)


@dataclass
class Noticed:
    """What other clients noticed: seconds of each answered request, and what failed."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return (
            ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
        )


def fetch(address: Address, path: str, *, timeout: float = 30) -> int:
    """Request a page on a connection of its own and return its status."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def others(
    request: Callable[[], int], *, seconds: float, clients: int = 4, pause: float = 0.1
) -> Noticed:
    """Call `request` from several threads for a while; 200 is success."""
    noticed = Noticed()
    until = time.monotonic() + seconds

    def work(number: int) -> None:
        rate = random.Random(number)
        while time.monotonic() < until:
            started = time.monotonic()
            try:
                status = request()
            except (OSError, http.client.HTTPException) as error:
                noticed.failures.append(repr(error))
            else:
                if status == http.HTTPStatus.OK:
                    noticed.seconds.append(time.monotonic() - started)
                else:
                    noticed.failures.append(str(status))
            time.sleep(pause * 2 * rate.random())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return noticed
