"""Uploads wait without a thread, sessions take turns, and pages never wait for uploads."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.server.serving import Server
from tests.server.slow_clients import fetch, upload_head
from xraysite.common.environ import WAITED
from xraysite.server.lanes import MAX_OF_SESSION
from xraysite.server.limits import Limits

BODY = b"x" * 20_000


class Application:
    """Answers pages at once, and uploads when it is told to."""

    def __init__(self) -> None:
        self.released: defaultdict[str, threading.Semaphore] = defaultdict(
            lambda: threading.Semaphore(0)
        )
        self.begun: list[str] = []
        self.running = self.most = 0
        self.lock = threading.Lock()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            self._hold(environ["HTTP_COOKIE"].removeprefix("sessionid="))
        start_response("200 OK", [])
        return [str(environ.get(WAITED, "page")).encode()]

    def _hold(self, session: str) -> None:
        with self.lock:
            self.begun.append(session)
            self.running += 1
            self.most = max(self.most, self.running)
            released = self.released[session]
        released.acquire(timeout=20)
        with self.lock:
            self.running -= 1

    def release(self, session: str, times: int = 1) -> None:
        """Let as many uploads of a session be answered."""
        with self.lock:
            self.released[session].release(times)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def server(application) -> Iterator[Server]:
    server = Server(Limits(), application=application, pages=2, uploads=2)
    yield server
    for session in list(application.released):
        application.release(session, 20)
    server.stop()


class Client(threading.Thread):
    """Sends an upload in a session; `answer` is the response's body."""

    def __init__(self, server: Server, session: str, body: bytes = BODY) -> None:
        super().__init__(daemon=True)
        self.server, self.session, self.body, self.answer = server, session, body, b""
        self.start()
        time.sleep(0.03)  # they arrive in this order

    def run(self) -> None:
        with self.server.connect() as connection:
            head = upload_head(len(self.body), cookie=f"sessionid={self.session}")
            connection.sendall(head.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n")
            connection.sendall(self.body)
            while received := connection.recv(65_536):
                self.answer += received


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_fifty_uploads_keep_no_page_waiting_and_are_all_answered(server, application):
    clients = [Client(server, f"s{number}") for number in range(50)]
    until(lambda: len(application.begun) == 2)
    started = time.monotonic()
    assert [fetch(server.address, "/") for _ in range(5)] == [200] * 5
    assert time.monotonic() - started < 2
    for client in clients:
        application.release(client.session)
    for client in clients:
        client.join(20)
    assert all(client.answer.startswith(b"HTTP/1.1 200") for client in clients)
    assert application.most == 2
    # In the order in which they came.
    assert application.begun == [client.session for client in clients]


def test_one_upload_of_a_session_at_a_time_and_others_come_first(server, application):
    for _ in range(4):
        Client(server, "greedy")
    Client(server, "other")
    until(lambda: application.begun == ["greedy", "other"])
    Client(server, "third")
    application.release("greedy", 4)
    until(lambda: application.begun == ["greedy", "other", "greedy", "third"])
    application.release("third")
    until(lambda: application.begun[4:] == ["greedy", "greedy"])


def test_the_site_learns_how_long_an_upload_waited(server, application):
    first, second = Client(server, "one"), Client(server, "one")
    small = Client(server, "two", body=b"x" * 100)
    time.sleep(0.2)
    application.release("one", 2)
    application.release("two")
    for client in (first, second, small):
        client.join(10)
    waited = float(second.answer.partition(b"\r\n\r\n")[2])
    assert 0.15 < waited < 5
    assert small.answer.endswith(b"page")


def test_a_session_cannot_fill_the_queue(server, application):
    clients = [Client(server, "greedy") for _ in range(MAX_OF_SESSION + 2)]
    # One has a thread for uploads, as many as may wait do, and the last one got one for pages.
    until(lambda: len(application.begun) == 2)
    application.release("greedy", len(clients))
    for client in clients:
        client.join(10)
    assert sum(client.answer.endswith(b"page") for client in clients) == 1


def test_an_upload_without_a_session_is_told_apart_by_its_address(server, application):
    for _ in range(2):
        Client(server, "")
    until(lambda: len(application.begun) == 1)
    time.sleep(0.1)
    assert len(application.begun) == 1
