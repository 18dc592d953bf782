"""Real workers, killed while they send: nothing is lost, and repeats have the same UIDs."""

import random
import signal
import sqlite3
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.outgoing.results import dicom_archive
from tests.site.sites import Site, until

pytestmark = pytest.mark.slow

READINGS = 12
PREPARE = """
from accounts import roles, services
from tests.exchange.outgoing import results
doctor = services.create_account(
    email="d@example.org", display_name="王怡君", password="x" * 20, role=roles.DOCTOR
)
results.target(port=int(sys.argv[1]), sends_document=True)
for number in range(int(sys.argv[2])):
    film = results.dicom_film(SOPInstanceUID=f"1.2.3.{number}")
    results.sign(results.stored_reading(doctor, film))
"""


def states(site: Site) -> list[str]:
    with closing(sqlite3.connect(site.var / "db.sqlite3", timeout=20)) as connection:
        rows = connection.execute("SELECT state FROM outgoing_delivery").fetchall()
    return sorted(state for (state,) in rows)


def start_worker(site: Site) -> Any:
    return site.start("manage.py", "db_worker", "--interval", "0.1", "--no-startup-delay")


def test_killed_workers_lose_nothing(tmp_path: Path):
    site = Site(tmp_path, TASK_ENGINE="database", WORKER_DEAD_AFTER="3")
    site.set_up()
    chance = random.Random(7)
    with dicom_archive() as archive:
        site.script(PREPARE, str(archive.port), str(READINGS))
        assert states(site) == ["WAITING"] * READINGS
        for kill in range(4):
            process = start_worker(site)
            until(lambda n=2 + 4 * kill: len(archive.got) >= n, seconds=90)
            time.sleep(chance.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = start_worker(site)
        until(lambda: states(site) == ["SENT"] * READINGS, seconds=120)
        process.terminate()
        process.communicate(timeout=30)
    versions = defaultdict(set)
    for dataset in archive.got:
        versions[str(dataset.SOPInstanceUID)].add(dataset.to_json())
    assert len(versions) == 2 * READINGS
    assert all(len(found) == 1 for found in versions.values()), "a repeat differs"
