"""The queries of one doctor's worklist: every order with every common filter.

    .venv/bin/python benchmarks/bench_worklist.py [--readings N] [--repeats N] [--postgres]
        [--json F]

Fills a temporary database with generated readings of one doctor (no films), a twentieth of them
assessed and half of the others waiting. For each filter it measures the counting, and for each
order the selection of the first page and of the page in the middle, with loading the rows: CPU time
on SQLite, time by the clock on PostgreSQL, where the work is done in another process. The best of
the repeats, because other work on the machine can only add to it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measuring import machine, say_machine, table  # noqa: E402
from rows import FAMILY, fill_readings, make_people  # noqa: E402
from sites import start_django  # noqa: E402

from tests import postgres  # noqa: E402

FEW_TAGGED, MANY_TAGGED = 300, 5000


def filters(doctor: Any) -> dict[str, dict[str, str]]:
    """Return the filters by name; creates the tags that two of them ask for."""
    from diagnosis.models import Reading, Tag, Tagging

    year = date.today().year
    tags = []
    for count in (FEW_TAGGED, MANY_TAGGED):
        tag = Tag.objects.create(doctor=doctor, name=f"tag {count}")
        keys = Reading.objects.order_by("film_sha256").values_list("pk", flat=True)[:count]
        Tagging.objects.bulk_create(Tagging(tag=tag, reading_id=key) for key in keys)
        tags.append(str(tag.pk))
    one = Reading.objects.order_by("film_sha256")[7]
    return {
        "none": {},
        "pneumonia": {"result": "PNEUMONIA"},
        "inconclusive": {"result": "UNSURE"},
        "waiting": {"state": "waiting"},
        "not opened": {"state": "unread"},
        "no assessment": {"own": "none"},
        "differs from the model": {"own": "differs"},
        "inconclusive, not opened": {"result": "UNSURE", "state": "unread"},
        "exam this year": {"date_from": f"{year}-01-01"},
        "read in the last 7 days": {"period": "week"},
        "age 2 to 3": {"age_from": "2", "age_to": "3"},
        "age 90 or older (none)": {"age_from": "90"},
        "a tag on 300": {"tag": tags[0]},
        "a tag on 5,000": {"tag": tags[1]},
        "search: a family name": {"q": FAMILY[0]},
        "search: a number": {"q": one.patient_number},
        "search: no match": {"q": "nobody"},
    }


def best(run: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> float:
    """Return the shortest time of `run` in milliseconds, after one call to warm up."""
    run()
    times = []
    for _ in range(repeats):
        started = clock()
        run()
        times.append(clock() - started)
    return 1000 * min(times)


def measure(doctor: Any, repeats: int, clock: Callable[[], float]) -> dict[str, dict[str, float]]:
    from diagnosis.worklist import orders, rows
    from diagnosis.worklist.lists import Worklist

    request: Any = SimpleNamespace(user=doctor)
    found: dict[str, dict[str, float]] = {}
    for name, query in filters(doctor).items():
        times: dict[str, float] = {}

        def counted(query: dict[str, str] = query) -> None:
            Worklist(request, query).total  # noqa: B018

        times["counts"] = best(counted, repeats, clock)
        keys = list(Worklist(request, query).found.values_list("pk", flat=True))
        for sort in orders.SORTS:
            worklist = Worklist(request, query | {"sort": sort})
            middle = worklist.place_of(keys[len(keys) // 2]) if keys else None
            for where, place in {"first": None, "middle": middle}.items():

                def page(sort: str = sort, place: Any = place, query: Any = query) -> None:
                    shown = Worklist(request, query | {"sort": sort}).page(after=place)
                    rows.load(doctor, shown.keys)

                times[f"{sort}, {where}"] = best(page, repeats, clock)
        found[name] = times
        print(
            f"{name}: counts {times['counts']:.1f}, pages at most {max(times.values()):.1f}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return found


def show(found: dict[str, dict[str, float]], title: str) -> None:
    lines = []
    for name, times in found.items():
        pages = {key: value for key, value in times.items() if key != "counts"}
        slowest = max(pages, key=lambda key: pages[key])
        lines.append(
            [name, f"{times['counts']:.1f}", f"{pages['triage, first']:.1f}",
             f"{pages[slowest]:.1f}", slowest]
        )  # fmt: skip
    print(title)
    print(table(["filter", "counts", "triage order", "slowest order", "which"], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    here = machine()
    say_machine(here)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        database = None
        if arguments.postgres:
            server = stack.enter_context(postgres.server())
            database = postgres.create_database(server, "bench")
        start_django(folder, database)
        from django.db import connections

        _supervisor, doctors = make_people(doctors=2)
        fill_readings(arguments.readings, [doctors[0]] * 2)
        clock = time.perf_counter if arguments.postgres else time.process_time
        found = measure(doctors[0], arguments.repeats, clock)
        connections.close_all()
    kind = "PostgreSQL, by the clock" if arguments.postgres else "SQLite, CPU time"
    show(found, f"{arguments.readings:,} readings of one doctor; ms ({kind}), best of the repeats:")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": here, "ms": found}, indent=2))


if __name__ == "__main__":
    main()
