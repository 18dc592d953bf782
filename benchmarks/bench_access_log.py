"""The access log and the audit log with few entries and with many.

    .venv/bin/python benchmarks/bench_access_log.py [--sizes 1000 100000] [--repeats N] [--json F]

For each size, creates a temporary database with that many sealed entries of 200 people about 2,000
readings (one in ten is a list of 25 readings), requests each page, and prints the times and their
ratio. `--database URL` uses an empty PostgreSQL database instead and allows one size only.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measuring import milliseconds  # noqa: E402
from rows import fill_entries, fill_readings, make_people  # noqa: E402
from sites import compare  # noqa: E402

PEOPLE = 200
READINGS = 2000
PAGE = "/admin/who-saw/"


def measure(count: int, repeats: int, only: str) -> dict[str, Any]:
    from accounts.audit.verify import verify_log
    from accounts.models import AuditMention
    from diagnosis.models import Reading
    from tests.conftest import settled, signed_in

    supervisor, doctors = make_people(PEOPLE)
    fill_readings(READINGS, doctors)
    one = Reading.objects.order_by("-created_at")[3]
    keys = [str(pk) for pk in Reading.objects.values_list("pk", flat=True)]
    fill_entries(count, doctors, keys)
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
        if only not in name:
            continue
        where = settled(browser, where)

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
