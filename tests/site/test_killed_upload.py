"""A server that is killed during an upload leaves the film nowhere."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from diagnosis import sweeping
from tests.locks import ROOT

HEAD = (
    "POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n"
    "Cookie: csrftoken={token}; sessionid={token}\r\n"
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


def held_open(pid: int, folder: Path) -> int:
    """Return the size of the files in a folder that a process or its children hold open."""
    total = 0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                if link.readlink().is_relative_to(folder):
                    total += link.stat().st_size
            except OSError:  # closed meanwhile
                continue
    return total


def test_a_killed_upload_leaves_the_film_nowhere(server, tmp_path):
    process, port = server
    uploads = tmp_path / "var" / "private" / "uploads"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD.format(token="x" * 32).encode() + SENT)
        # The body waits in a file without a name, on the films' disk.
        until(lambda: held_open(process.pid, uploads) > 5_000_000)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for folder in (uploads, tmp_path / "tmp"):
        assert [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size] == []


def test_what_an_earlier_version_left_is_swept(tmp_path, settings):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    left = tmp_path / "one.upload"
    left.write_bytes(b"the film of a patient")
    assert list(sweeping.abandoned_uploads()) == []
    os.utime(left, (0, 0))
    assert list(sweeping.abandoned_uploads()) == [left]
