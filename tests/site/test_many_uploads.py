"""Many doctors who upload in the same second all get their reading."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from tests.conftest import patient_details, upload_of
from tests.films import encode, synthetic_film
from tests.locks import ROOT
from tests.server.slow_clients import Address, fetch, others

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("served-site")]

SECONDS = 300
TOKEN = "t" * 32
# Prepares the site and prints the session of each doctor.
PREPARE = """
import json, sys
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from accounts import roles, services
call_command("migrate", verbosity=0)
call_command("activate_model", settings.SHIPPED_MODEL, verbosity=0)
settings.ALLOWED_HOSTS.append("testserver")
sessions = []
for number in range(int(sys.argv[1])):
    email = f"doctor{number}@example.org"
    user = services.create_account(
        email=email, display_name=email, password="a-long-password-of-a-test", role=roles.DOCTOR,
        hospital="Test", department="Radiology",
    )
    client = Client()
    client.force_login(user)
    sessions.append(client.cookies["sessionid"].value)
print(json.dumps(sessions))
"""


@dataclass
class Site:
    """A running site.

    Attributes:
        address: host and port.
        sessions: the session of each doctor.
    """

    address: Address
    sessions: list[str]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("many-uploads")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: Address = probe.getsockname()
    names = ("PATH", "HOME", "LANG", "PYTHONPATH", "OPENBLAS_NUM_THREADS")
    environment = {name: os.environ[name] for name in names if name in os.environ} | {
        "DJANGO_SETTINGS_MODULE": "xraysite.settings.local",
        "XRAYSITE_VAR": str(folder / "var"),
        "LOG_LEVEL": "ERROR",
    }
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True)
    prepared = subprocess.run(
        [sys.executable, "-c", PREPARE, "50"],
        cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--config", "python:xraysite.gunicorn",
         "--bind", f"127.0.0.1:{address[1]}"],
        cwd=ROOT, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + SECONDS
        while True:
            try:
                if fetch(address, "/readyz", timeout=SECONDS) == http.HTTPStatus.OK:
                    break
            except OSError:
                assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        yield Site(address, json.loads(prepared.stdout.splitlines()[-1]))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=SECONDS)


def form_of(number: int) -> bytes:
    """Return the form of a doctor: a film of a megapixel that no other doctor uploads."""
    film = synthetic_film("NORMAL", seed=0, size=1000).copy()
    film[:32, :32] = np.random.default_rng(uuid.uuid4().int).integers(0, 256, (32, 32))
    upload = upload_of(encode(film, "jpeg"), f"{number}.jpg")
    fields = patient_details(film=upload, submission=str(uuid.uuid4()))
    return encode_multipart(BOUNDARY, fields)


def upload(site: Site, session: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(*site.address, timeout=SECONDS)
    headers = {
        "Cookie": f"sessionid={session}; csrftoken={TOKEN}",
        "X-CSRFToken": TOKEN,
        "Content-Type": MULTIPART_CONTENT,
    }
    try:
        connection.request("POST", "/readings/new/", body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def upload_at_once(site: Site, doctors: int) -> tuple[list[int], list[float]]:
    """Let doctors upload in the same moment; return the statuses, and the seconds of each."""
    forms = [form_of(number) for number in range(doctors)]
    statuses, seconds = [], []
    ready = threading.Barrier(doctors)

    def run(number: int) -> None:
        ready.wait()
        started = time.monotonic()
        statuses.append(upload(site, site.sessions[number], forms[number]))
        seconds.append(time.monotonic() - started)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(doctors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses, seconds


@pytest.mark.parametrize("doctors", [8, 20, pytest.param(50, marks=pytest.mark.slow)])
def test_nobody_is_told_that_the_site_is_busy(site, doctors):
    statuses, seconds = upload_at_once(site, doctors)
    sys.stderr.write(
        f"\n{doctors} doctors: median {np.median(seconds):.2f} s, most {max(seconds):.2f} s\n"
    )
    assert statuses == [302] * doctors


def test_pages_stay_fast_while_twenty_doctors_upload(site):
    found: list[int] = []
    uploads = threading.Thread(target=lambda: found.extend(upload_at_once(site, 20)[0]))
    uploads.start()
    noticed = others(lambda: fetch(site.address, "/accounts/login/"), seconds=3, clients=2)
    uploads.join()
    assert found == [302] * 20
    assert noticed.failures == []
    # A page waits for the processor, and for no upload; other tests may use both cores meanwhile.
    assert noticed.quantile(0.9) <= 2


def test_an_account_that_floods_the_site_keeps_nobody_else_waiting(site):
    """Twelve windows of one session send five films each; another account sends three."""
    forms = [[form_of(window) for _ in range(5)] for window in range(12)]

    def send(window: list[bytes]) -> None:
        for form in window:
            upload(site, site.sessions[0], form)

    flood = [threading.Thread(target=send, args=(window,), daemon=True) for window in forms]
    for thread in flood:
        thread.start()
    statuses = [upload(site, site.sessions[1], form_of(12)) for _ in range(3)]
    still_sending = any(thread.is_alive() for thread in flood)
    for thread in flood:
        thread.join(SECONDS)
    assert statuses == [http.HTTPStatus.FOUND] * 3
    assert still_sending, "the films of the other account did not wait for the flood to end"
