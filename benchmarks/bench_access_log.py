"""The access log and the audit log with few entries and with many.

    .venv/bin/python benchmarks/bench_access_log.py [--sizes 1000 100000] [--repeats N] [--json F]

For each size, creates a temporary database with that many sealed entries of 200 people about 2,000
readings (one in ten is a list of 25 readings), requests each page, and prints the times and their
ratio. `--database URL` uses an empty PostgreSQL database instead and allows one size only.
"""

import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from bench_office import fill as fill_readings  # noqa: E402
from bench_office import make_people  # noqa: E402
from measuring import milliseconds  # noqa: E402
from sites import compare  # noqa: E402

SEED = 11
READINGS = 2000
DAYS = 365
SHARE_OF_LISTS = 0.1
LISTED = 25
PAGE = "/admin/who-saw/"


def make_entries(count: int, people: list[Any], keys: list[str]) -> Iterator[Any]:
    """Yield `count` sealed entries of the last year, oldest first."""
    from django.conf import settings
    from django.contrib.contenttypes.models import ContentType

    from accounts.audit.models import SHOWN, AuditHead, mac
    from accounts.models import AuditEntry
    from diagnosis.models import Reading

    rng = random.Random(SEED)  # noqa: S311
    kind = ContentType.objects.get_for_model(Reading)
    head = AuditHead.objects.locked()
    now = datetime.now(UTC)
    for n in range(count):
        person = rng.choice(people)
        is_list = rng.random() < SHARE_OF_LISTS
        key = "" if is_list else rng.choice(keys)
        entry = AuditEntry(
            sequence=head.sequence + 1,
            timestamp=now - timedelta(days=DAYS) * (1 - (n + 1) / (count + 1)),
            what="list" if is_list else rng.choice(["page", "film", "heatmap"]),
            action=AuditEntry.Action.ACCESS,
            actor=person, actor_pk=person.pk, actor_email=person.email,
            remote_addr=f"10.0.0.{person.pk % 250}",
            content_type=kind, object_pk=key, object_repr=key or "*",
            changes={}, changes_text="",
            additional_data={SHOWN: rng.sample(keys, LISTED)} if is_list else None,
            previous_seal=head.seal,
        )  # fmt: skip
        entry.seal = mac(entry.sealed_text(), settings.SECRET_KEY)
        head.sequence, head.seal = entry.sequence, entry.seal
        yield entry
    head.move_to(entry)


def fill(count: int, people: list[Any], keys: list[str]) -> None:
    from django.db import models, transaction

    from accounts.models import AuditEntry, AuditMention

    with transaction.atomic():
        rows = make_entries(count, people, keys)
        while some := list(islice(rows, 2000)):
            # The log's own manager refuses to write in bulk.
            models.QuerySet(AuditEntry).bulk_create(some)
            for entry in some:
                AuditMention.objects.add(entry, entry.shown_keys)


def measure(count: int, repeats: int) -> dict[str, Any]:
    from accounts.audit.verify import verify_log
    from accounts.models import AuditMention
    from diagnosis.models import Reading
    from tests.conftest import signed_in

    supervisor, doctors = make_people()
    fill_readings(READINGS, doctors)
    one = Reading.objects.order_by("-created_at")[3]
    keys = [str(pk) for pk in Reading.objects.values_list("pk", flat=True)]
    fill(count, doctors, keys)
    browser = signed_in(supervisor)
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    pages = {
        "who saw: patient number": f"{PAGE}?q={one.patient_number}",
        "who saw: family name": f"{PAGE}?q={one.patient_name[0]}",
        "what a person saw: a day": f"{PAGE}?person={doctors[0].email}&start={day}",
        "what a person saw: a year": f"{PAGE}?person={doctors[0].email}&start={day.year - 1}-01-01",
        "a reading, its viewers": f"/readings/{one.pk}/",
        "admin list of readings": "/admin/diagnosis/reading/",
    }
    found: dict[str, Any] = {"ms": {}}
    for name, where in pages.items():

        def ask(where: str = where) -> None:
            response = browser.get(where)
            if response.status_code != 200:
                raise SystemExit(f"{where} answers {response.status_code}")

        found["ms"][name] = milliseconds(ask, repeats, warm_up=1)
        print(f"{count:>9,}  {name:<28}{found['ms'][name]['median']:>9.1f} ms", file=sys.stderr)
    started = time.perf_counter()
    findings = sum(1 for _ in verify_log())
    seconds = time.perf_counter() - started
    mentions = AuditMention.objects.count()
    found["lines"] = [f"{mentions:,} mentions; verified in {seconds:.1f} s: {findings} findings"]
    return found


if __name__ == "__main__":
    compare(__file__, __doc__, sizes=[1000, 100_000], repeats=5, what="entries", measure=measure)
