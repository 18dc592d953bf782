"""docs/api.md: its client works against the running site, and its table is complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from diagnosis.models import Reading
from exchange.api.interface import api
from mlcore import registry
from tests.conftest import activated
from tests.exchange.api.conftest import Program
from tests.factories import DoctorFactory

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()


def run(client: Path, film: Path, live_server, token: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"XRAYSITE_URL": live_server.url, "XRAYSITE_TOKEN": token}
    return subprocess.run(
        [sys.executable, client, film, "Chen Wei-Lun", "A123", "3", "2026-01-31"],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_the_example_client_works(live_server, shipped_bundle, tmp_path, film_bytes):
    if registry.active_version() is None:
        activated(shipped_bundle)
    program = Program(DoctorFactory(), "readings:read", "readings:write")
    client, film = tmp_path / "client.py", tmp_path / "film.png"
    client.write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1])
    film.write_bytes(film_bytes)
    first, second = (run(client, film, live_server, program.token) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    reading = Reading.objects.get()  # sent twice, stored once
    assert f"Reading {reading.pk}" in first.stdout
    assert f"Result {reading.label}" in first.stdout
    refused = run(client, film, live_server, "xrs_wrong")
    assert "401: The token is not valid" in refused.stderr


def test_the_table_lists_every_request():
    listed = set(re.findall(r"^\| `(\w+ /\S*)` \|", PAGE, re.MULTILINE))
    assert listed == {f"{each.method} {each.path}" for each in api.operations()}


@pytest.mark.django_db
def test_the_page_for_people_lists_every_request():
    page = Client(headers={"accept-language": "en"}).get("/about/api/").content.decode()
    for each in api.operations():
        assert f"{each.method} /api/v1{each.path}" in page
        assert each.summary in page.replace("&#x27;", "'")
