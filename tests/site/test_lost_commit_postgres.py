"""PostgreSQL commits a reading, and the line is cut before its answer arrives."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests import postgres
from tests.site.sites import Site

pytestmark = [
    pytest.mark.xdist_group("lost-commit"),
    pytest.mark.skipif(
        not postgres.is_available(), reason="NOT TESTED: PostgreSQL's server is not installed"
    ),
]
SEND = """
import uuid
from django.test import Client
from accounts import roles, services
from accounts.models import User
from diagnosis.models import Reading
from diagnosis.services.films import has_film
from django.core.files.uploadedfile import SimpleUploadedFile
from tests.films import encode, synthetic_film
doctor = User.objects.filter(email="d@example.org").first() or services.create_account(
    email="d@example.org", display_name="D", password="x" * 20, role=roles.DOCTOR
)
browser = Client(headers={"host": "localhost"}, raise_request_exception=False)
browser.force_login(doctor)
film = encode(synthetic_film("NORMAL", seed=1, size=200), "png")
answer = browser.post("/readings/new/", {
    "film": SimpleUploadedFile("film.png", film), "patient_name": "A", "patient_age_years": 3,
    "exam_date": "2026-01-02", "submission": str(uuid.uuid4()),
})
reading = Reading.objects.get()
print(answer.status_code, answer.headers.get("Location") == reading.get_absolute_url(),
      has_film(reading))
"""


@contextmanager
def cutting_proxy(port: int, mark: bytes) -> Iterator[tuple[int, list[socket.socket]]]:
    """Forward connections to a port; after a statement with `mark`, cut the line at the COMMIT.

    Yields:
        The proxy's port, and a list that has an entry once a line was cut.
    """
    cut: list[socket.socket] = []
    ends: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def to_server(client: socket.socket, server: socket.socket) -> None:
        marked = False
        while data := _received(client):
            marked = marked or mark in data
            if marked and b"COMMIT" in data and not cut:
                cut.append(server)  # before the answer, which the other thread would forward
                server.sendall(data)
                server.recv(1)  # it has been committed
                _close(client, server)
                return
            server.sendall(data)
        _close(client, server)

    def to_client(client: socket.socket, server: socket.socket) -> None:
        while data := _received(server, peek=True):
            if server in cut:
                return
            client.sendall(server.recv(len(data)))
        _close(client, server)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed at the end
                return
            server = socket.create_connection(("127.0.0.1", port))
            ends.extend((client, server))
            for forward in (to_server, to_client):
                threading.Thread(target=forward, args=(client, server), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield listener.getsockname()[1], cut
        listener.shutdown(socket.SHUT_RDWR)
    for end in ends:
        end.close()


def _received(end: socket.socket, *, peek: bool = False) -> bytes:
    try:
        return end.recv(1 << 16, socket.MSG_PEEK if peek else 0)
    except OSError:
        return b""


def _close(*ends: socket.socket) -> None:
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:  # shut down by the other thread
            continue


def test_a_committed_reading_keeps_its_film(tmp_path):
    with postgres.server() as url:
        direct = postgres.create_database(url, "site")
        port = urlsplit(url).port
        Site(tmp_path, direct).set_up()
        with cutting_proxy(int(port or 0), b'INSERT INTO "diagnosis_reading"') as (proxy, cut):
            through = Site(tmp_path, direct.replace(f":{port}/", f":{proxy}/"))
            said = through.script(SEND)
        assert len(cut) == 1
        assert said.split() == ["302", "True", "True"]
