"""Batches read by real workers that are killed in the middle."""

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.background.test_worker import query
from tests.site.sites import Site, until

pytestmark = pytest.mark.xdist_group("workers-batches")

FILES, KILLS = 12, 2
DEAD_AFTER = 2
# Sends a batch: every X-ray with a patient of its own, in a CSV file.
SEND = """
import io
from accounts import roles, services
from diagnosis.batches import receiving
from tests.films import encode, synthetic_film
doctor = services.create_account(
    email="d@example.org", display_name="D", password="x" * 20, role=roles.DOCTOR
)
batch = receiving.begin_batch(doctor=doctor)
def send(path, data):
    receiving.add_file(doctor=doctor, batch_id=batch.pk, path=path, file=io.BytesIO(data))
number = int(sys.argv[1])
rows = "".join(f"{seed}.png,病人 {seed},3,2026-01-05\\n" for seed in range(number))
send("who.csv", ("file,name,age,exam_date\\n" + rows).encode())
for seed in range(number):
    send(f"{seed}.png", encode(synthetic_film("NORMAL", seed=seed, size=200), "png"))
"""
# Prints for each reading the seed of its file and its patient; then what the checks find.
CHECK = """
from accounts.audit.verify import verify_log
from accounts.models import AuditEntry
from diagnosis.batches import ending
from diagnosis.models import BatchItem, Reading
for item in BatchItem.objects.select_related("reading"):
    print(item.state, item.path.split(".")[0], item.reading.patient_name.split()[1], item.is_stored)
print(Reading.objects.count(), AuditEntry.objects.filter(what="created").count())
print(list(verify_log()), list(ending.missing()))
"""


@contextmanager
def worker(site: Site) -> Iterator["subprocess.Popen[str]"]:
    process = site.start(
        "manage.py", "db_worker", "--interval", "0.1", "--no-startup-delay",
        "--queue-name", "readings",
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def done(site: Site) -> int:
    statement = "SELECT COUNT(*) FROM diagnosis_batchitem WHERE state = 'DONE'"
    return int(query(site, statement)[0][0])


def test_killed_workers_lose_nothing_and_read_nothing_twice(tmp_path):
    site = Site(tmp_path, TASK_ENGINE="database", WORKER_DEAD_AFTER=str(DEAD_AFTER))
    site.set_up()
    site.script(SEND, FILES)
    choice = random.Random(5)
    for kill in range(KILLS):
        with worker(site):
            wanted = (kill + 1) * FILES // (KILLS + 2)
            until(lambda wanted=wanted: done(site) >= wanted)
            until(lambda: choice.random() < 0.3)
    with worker(site):
        until(lambda: done(site) == FILES)
    *items, counts, faults = site.script(CHECK).splitlines()
    expected = {f"DONE {seed} {seed} False" for seed in range(FILES)}
    assert set(items) == expected
    assert counts.split()[0] == str(FILES)
    assert faults == "[] []"
