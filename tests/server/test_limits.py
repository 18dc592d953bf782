"""What a slow, greedy or ambiguous client may do to the server."""

import contextlib
import errno
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from waitress import buffers

from tests.server.serving import Server
from tests.server.slow_clients import HALF_REQUEST, fetch, upload_head
from xraysite.server.limits import Limits

COOKIE = "sessionid=abc"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 32 * 2**20


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the length of the body, or with much at /large, or late at /late."""
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/late":
        time.sleep(1)
    said = b"x" * LARGE if environ["PATH_INFO"] == "/large" else str(len(body)).encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]


@contextmanager
def serving(
    *, is_proxy: Callable[[str], bool] = lambda address: False, **limits: Any
) -> Iterator[Server]:
    server = Server(Limits(**limits), application=application, is_proxy=is_proxy)
    try:
        yield server
    finally:
        server.stop()


def connect(server: Server, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(server.address, timeout=10, source_address=(source, 0))


def answer(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    said = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            said += data
    return bytes(said)


def first_answer(connection: socket.socket) -> bytes:
    """Return one complete answer; its body may come by itself."""
    said = b""
    while not (found := re.search(rb"Content-Length: (\d+)\r\n(?s:.*?)\r\n\r\n", said)) or (
        len(said) - found.end() < int(found[1])
    ):
        data = connection.recv(1000)
        assert data, said
        said += data
    return said


def send(server: Server, request: bytes) -> bytes:
    with connect(server) as connection:
        connection.sendall(request)
        return answer(connection)


def status(said: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", said)
    assert found is not None, said[:100]
    return int(found[1])


def test_half_sent_headers_are_cut_off_with_408():
    with serving(header_seconds=1) as server:
        started = time.monotonic()
        assert status(send(server, HALF_REQUEST)) == 408
        assert 1 <= time.monotonic() - started < 5


def test_silent_connection_is_closed():
    with serving(header_seconds=1) as server, connect(server) as connection:
        assert answer(connection) == b""


def test_idle_connection_is_kept_for_a_while_and_closed():
    with serving(keep_alive_seconds=1) as server, connect(server) as connection:
        connection.sendall(GET)
        assert status(first_answer(connection)) == 200
        connection.sendall(GET)
        assert status(answer(connection)) == 200


def test_body_below_the_rate_is_cut_off_and_a_steady_one_is_not():
    with serving(grace_seconds=1, bytes_per_second=1000) as server:
        assert status(send(server, upload_head(5000, cookie=COOKIE) + b"x")) == 408
        with connect(server) as connection:
            connection.sendall(upload_head(5000, cookie=COOKIE))
            for _ in range(10):
                connection.sendall(b"x" * 500)
                time.sleep(0.2)
            assert first_answer(connection).endswith(b"5000")


def test_client_that_does_not_read_is_closed():
    with serving(grace_seconds=1, bytes_per_second=10**6) as server, connect(server) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        until = time.monotonic() + 10
        time.sleep(0.5)
        while server.connections.channels() and time.monotonic() < until:
            time.sleep(0.1)
        assert server.connections.channels() == []
        assert len(answer(connection)) < LARGE


def test_client_that_reads_steadily_gets_everything():
    with serving(grace_seconds=1, bytes_per_second=1000) as server:
        said = send(server, b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert len(said) > LARGE


def test_one_address_loses_its_own_oldest_connection():
    with serving(connections_per_address=3) as server:
        waiting = []
        for _ in range(3):
            waiting.append(connect(server))
            waiting[-1].sendall(HALF_REQUEST)
            time.sleep(0.1)
        other = connect(server, "127.0.0.2")
        other.sendall(HALF_REQUEST)
        assert fetch(server.address, "/") == 200
        assert status(answer(waiting[0])) == 503
        for connection in (waiting[1], other):
            connection.sendall(b"\r\n\r\n")
            assert status(first_answer(connection)) == 200
        for connection in (*waiting, other):
            connection.close()


def test_full_server_closes_a_connection_of_the_greediest_address():
    with serving(connections=6) as server:
        greedy = [connect(server, "127.0.0.2") for _ in range(5)]
        modest = connect(server, "127.0.0.3")
        for connection in (*greedy, modest):
            connection.sendall(HALF_REQUEST)
            time.sleep(0.05)
        assert fetch(server.address, "/") == 200
        modest.sendall(b"\r\n\r\n")
        assert status(first_answer(modest)) == 200
        assert status(answer(greedy[0])) == 503
        for connection in (*greedy, modest):
            connection.close()


def test_request_that_is_worked_on_is_not_interrupted():
    with serving(connections_per_address=1) as server, connect(server) as late:
        late.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        with connect(server) as refused:
            assert answer(refused) == b""
        assert status(first_answer(late)) == 200


def test_trusted_proxy_may_hold_many_connections():
    with serving(connections_per_address=2, is_proxy=lambda address: True) as server:
        kept = [connect(server) for _ in range(8)]
        time.sleep(0.3)
        assert len(server.connections.channels()) == 8
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("cookie", ["", "theme=dark"])
def test_large_body_without_a_session_is_refused_unread(cookie):
    with serving(anonymous_body_bytes=1000) as server:
        assert status(send(server, upload_head(2000, cookie=cookie))) == 413


def test_large_body_with_a_token_is_received():
    head = upload_head(2000).replace(b"Host:", b"Authorization: Bearer abc\r\nHost:")
    with serving(anonymous_body_bytes=1000) as server:
        assert status(send(server, head + b"x" * 2000)) == 200


def test_chunked_body_is_cut_at_the_limit():
    head = upload_head(0, cookie=COOKIE).replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    with serving(body_bytes=100_000) as server, connect(server) as connection:
        connection.sendall(head)
        with pytest.raises(OSError):  # noqa: PT011 - reset, or a broken pipe
            connection.sendall((b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 2000)
        assert server.connections.channels() == []


def test_bodies_that_wait_are_limited_together():
    with serving(waiting_bytes=100_000) as server:
        small, large = connect(server), connect(server)
        small.sendall(upload_head(90_000, cookie=COOKIE) + b"x" * 40_000)
        large.sendall(upload_head(90_000, cookie=COOKIE) + b"x" * 80_000)
        assert status(answer(large)) == 503
        small.sendall(b"x" * 50_000)
        assert first_answer(small).endswith(b"90000")
        small.close()
        large.close()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Content-Length: 4", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 4"], 400),
        (["Content-Length: 4", "Content-Length: 5"], 400),
        (["Content-Length: +4"], 400),
        (["Transfer-Encoding : chunked"], 400),
        (["Transfer-Encoding: \x0bchunked"], 400),
        (["Transfer-Encoding: xchunked"], 501),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["X: y\nTransfer-Encoding: chunked"], 400),
    ],
)
def test_ambiguous_length_is_refused_and_the_connection_closed(lines, expected):
    head = ["POST / HTTP/1.1", "Host: x", *lines, "", "0", "", "GET /smuggled HTTP/1.1", "", ""]
    with serving() as server:
        said = send(server, "\r\n".join(head).encode())
    assert status(said) == expected
    assert len(re.findall(rb"HTTP/1\.[01] \d{3} ", said)) == 1


def test_chunked_body_in_http_1_0_is_refused():
    with serving() as server:
        said = send(server, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert status(said) == 400


def test_long_headers_are_refused():
    with serving() as server:
        assert status(send(server, b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n")) == 431


def test_full_disk_answers_507(monkeypatch):
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(buffers.TempfileBasedBuffer, "newfile", full)
    with serving() as server:
        said = send(server, upload_head(700_000, cookie=COOKIE) + b"x" * 700_000)
    assert status(said) == 507
    assert b"No space left on device" in said


def test_draining_server_answers_and_closes():
    with serving() as server, connect(server) as connection:
        connection.sendall(GET)
        assert b"Connection: close" not in first_answer(connection)
        server.connections.draining = True
        connection.sendall(GET)
        said = answer(connection)
        assert status(said) == 200
        assert b"Connection: close" in said
