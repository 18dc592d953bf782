"""A server that is killed during an upload leaves the film in its private folder alone."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diagnosis import sweeping
from tests.locks import ROOT

HEAD = (
    "POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken={token}\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 20000000\r\n\r\n"
    '--b\r\nContent-Disposition: form-data; name="film"; filename="film.dcm"\r\n\r\n'
)
SENT = b"the film of a patient " * 300_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def server(tmp_path):
    """A server with folders of its own; its system-wide folder for temporary files is `tmp/`."""
    port = free_port()
    for name in ("var", "tmp"):
        (tmp_path / name).mkdir(mode=0o700)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "xraysite.settings.local",
        "XRAYSITE_VAR": str(tmp_path / "var"),
        "TMPDIR": str(tmp_path / "tmp"),
        "WEB_CONCURRENCY": "1",
    }
    gunicorn = ["-m", "gunicorn", "--config", "python:xraysite.gunicorn"]
    process = subprocess.Popen(
        [sys.executable, *gunicorn, "--bind", f"127.0.0.1:{port}"],
        cwd=ROOT, env=environment, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: listens(port))
    yield process, port
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_upload_leaves_nothing_outside_the_private_folder(server, tmp_path, settings):
    process, port = server
    uploads = tmp_path / "var" / "private" / "uploads"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD.format(token="x" * 32).encode() + SENT)
        until(lambda: sum(path.stat().st_size for path in uploads.glob("*")) > 5_000_000)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (left,) = uploads.iterdir()
    assert left.read_bytes().startswith(b"the film of a patient")
    assert left.stat().st_mode & 0o077 == 0
    holding = [
        path for path in (tmp_path / "tmp").rglob("*") if path.is_file() and path.stat().st_size
    ]
    assert [path for path in holding if b"patient" in path.read_bytes()] == []
    settings.FILE_UPLOAD_TEMP_DIR = uploads
    assert list(sweeping.abandoned_uploads()) == []
    os.utime(left, (0, 0))
    assert list(sweeping.abandoned_uploads()) == [Path(left)]
