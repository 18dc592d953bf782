"""Helpers for benchmarks that send requests to the real server."""

import http.client
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring import ROOT


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB, 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def proportional(pid: int) -> float:
    """Return the memory of a process in MiB, of shared pages only its part (PSS); 0 if ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 2**10
    except OSError:
        return 0.0
    return 0.0


def tree_pss(pid: int) -> float:
    """Return the memory of a process and its descendants in MiB (PSS)."""
    return proportional(pid) + sum(tree_pss(child) for child in children(pid))


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds that a process and its living descendants have used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(tree_cpu(child) for child in children(pid))


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def server(folder: str, *application: str) -> Iterator[tuple[int, int]]:
    """Run gunicorn with its usual two processes; yields its port and process id.

    Args:
        folder: for everything that the site writes.
        application: the site with stopwatches instead of the site itself.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"XRAYSITE_VAR": folder}
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--config", "python:xraysite.gunicorn",
         "--bind", f"127.0.0.1:{port}", "--log-level", "error", *application],
        cwd=ROOT, env=environment,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if send(port, "GET", "/healthz")[0] == 200:
                    break
            except OSError:
                time.sleep(0.2)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def send(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, float]:
    """Return the status and the seconds of a request."""
    started = time.perf_counter()
    status, _location = request(port, method, path, body, headers)
    return status, time.perf_counter() - started


def request(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Return the status and the `Location` of a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("Location", "")
    finally:
        connection.close()


def signed_in(email: str) -> dict[str, str]:
    """Return the headers of a browser in which a new doctor is signed in."""
    from django.test import Client

    from accounts import roles, services

    user = services.create_account(
        email=email, display_name=email, password=uuid.uuid4().hex, role=roles.DOCTOR,
        hospital="Test", department="Radiology",
    )  # fmt: skip
    client = Client()
    client.force_login(user)
    session, token = client.cookies["sessionid"].value, "t" * 32
    return {"Cookie": f"sessionid={session}; csrftoken={token}", "X-CSRFToken": token}


def upload(port: int, headers: dict[str, str], data: bytes) -> tuple[int, float]:
    """Send the form for a new reading."""
    return send(port, "POST", "/readings/new/", *upload_form(headers, data))


def upload_form(headers: dict[str, str], data: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of the form for a new reading."""
    from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

    from tests.conftest import patient_details, upload_of

    fields = patient_details(film=upload_of(data), submission=str(uuid.uuid4()))
    body = encode_multipart(BOUNDARY, fields)
    return body, headers | {"Content-Type": MULTIPART_CONTENT}
