"""The office, lists, histories and the access log with few readings and with many.

    .venv/bin/python benchmarks/bench_office.py [--sizes 10000 1000000] [--repeats N] [--postgres]
        [--only TEXT] [--json F]

For each size, creates a temporary database, fills it with generated readings (no films; activation
maps of 8×8 cells like the shipped model's) of 1,000 doctors and with as many entries of the audit
log, requests each page as a browser would, and prints the times and their ratio. The list of
readings is requested with any two filters at once. `--postgres` uses a PostgreSQL server of its
own; `--database URL` an empty database, and allows one size only. `--keep DIR` keeps the SQLite
databases in a folder, to measure them again.
"""

import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import office_pages  # noqa: E402
from measuring import milliseconds  # noqa: E402
from rows import fill_entries, fill_readings, make_people  # noqa: E402
from sites import compare  # noqa: E402


def filled(count: int) -> tuple[Any, list[Any], float]:
    """Return a supervisor, the doctors, and the seconds that filling the tables took."""
    from diagnosis.models import Reading

    supervisor, doctors = make_people()
    started = time.perf_counter()
    if not Reading.objects.exists():
        fill_readings(count, doctors)
        keys = [str(pk) for pk in Reading.objects.values_list("pk", flat=True)[:10_000]]
        fill_entries(count, doctors, keys)
    return supervisor, doctors, time.perf_counter() - started


def measure(count: int, repeats: int, only: str) -> dict[str, Any]:
    from tests.conftest import settled, signed_in

    supervisor, doctors, seconds = filled(count)
    pages = [
        (signed_in(supervisor), office_pages.supervised(doctors, count)),
        (signed_in(doctors[0]), office_pages.own()),
        (signed_in(doctors[5]), office_pages.usual()),
    ]
    found: dict[str, Any] = {"filled_s": seconds, "ms": {}}
    for browser, addresses in pages:
        for name, where in addresses.items():
            if only not in name:
                continue
            address = settled(browser, where)

            def ask(browser: Any = browser, address: str = address) -> None:
                response = browser.get(address)
                if response.status_code != 200:
                    raise SystemExit(f"{address} answers {response.status_code}")

            times = milliseconds(ask, repeats, warm_up=1)
            found["ms"][name] = times
            print(f"{count:>9,}  {name:<45}{times['median']:>9.1f} ms", file=sys.stderr, flush=True)
    if not only:
        export = _export(pages[0][0])
        text = "as CSV in {s:.1f} s, {mb:.0f} MB, {memory_mb:.0f} MB more memory"
        found |= {"export": export, "lines": [text.format(**export)]}
    return found


def _export(browser: Any) -> dict[str, float]:
    """Return what exporting every reading as CSV takes."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    export = browser.get(f"{office_pages.ADMIN}export/?hidden=no")
    size = sum(len(part) for part in export.streaming_content)
    return {
        "s": time.perf_counter() - started,
        "mb": size / 1e6,
        "memory_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3,
    }


if __name__ == "__main__":
    compare(
        __file__, __doc__, sizes=[10_000, 1_000_000], repeats=7, what="readings", measure=measure
    )
