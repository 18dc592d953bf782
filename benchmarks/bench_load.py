"""Readings per second, latency and memory with many doctors at once.

    python benchmarks/bench_load.py [--clients N ...] [--seconds N] [--database D ...] [--json F]

Each client is signed in as a doctor of its own. It uploads a JPEG of two megapixels that nobody
else uploads, opens the page of the reading, and goes on at once. The site runs as `make run` starts
it, with two web processes, on SQLite and on a PostgreSQL server that the benchmark starts, if one
is installed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_peer import films
from measuring import machine, say_machine, summary, table
from serving import request, server, signed_in, tree_cpu, tree_pss, upload_form
from sites import start_django

FILMS_PER_SECOND = 45  # more than the site reads


@dataclass
class Noticed:
    """What the clients noticed.

    Attributes:
        uploads: milliseconds of each upload that gave a reading.
        pages: milliseconds of each page of a reading.
        busy: uploads that were told to try again (503).
        errors: all other responses, by what they said.
    """

    uploads: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    busy: int = 0
    errors: list[str] = field(default_factory=list)


def work(port: int, person: dict[str, str], made: Any, noticed: Noticed, until: float) -> None:
    """Upload films and open the pages of their readings until a time, as one doctor."""
    while time.monotonic() < until:
        started = time.perf_counter()
        try:
            status, location = request(
                port, "POST", "/readings/new/", *upload_form(person, next(made))
            )
        except OSError as error:
            noticed.errors.append(repr(error))
            continue
        took = 1000 * (time.perf_counter() - started)
        if status == 503:
            noticed.busy += 1
        elif status != 302 or "/check/" in location:
            noticed.errors.append(f"{status} {location}")
        else:
            noticed.uploads.append(took)
            started = time.perf_counter()
            status, _ = request(port, "GET", location, b"", person)
            noticed.pages.append(1000 * (time.perf_counter() - started))
            if status != 200:
                noticed.errors.append(f"page {status}")


def load(port: int, pid: int, people: list[dict[str, str]], seconds: float) -> dict[str, Any]:
    """Let the people work for a while; return rates, times in ms, errors, and memory in MiB."""
    count = round(FILMS_PER_SECOND * seconds) + 3 * len(people)
    made = iter(films(count, seed=time.time_ns()))
    noticed = Noticed()
    before, used, until = tree_pss(pid), tree_cpu(pid), time.monotonic() + seconds
    threads = [
        threading.Thread(target=work, args=(port, person, made, noticed, until))
        for person in people
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    if not noticed.uploads:
        raise SystemExit(f"No reading succeeded: {noticed.busy} busy, {set(noticed.errors)}")
    return {
        "clients": len(people),
        "readings_per_s": len(noticed.uploads) / took,
        "cpu_ms": 1000 * (tree_cpu(pid) - used) / len(noticed.uploads),
        "upload_ms": summary(noticed.uploads),
        "page_ms": summary(noticed.pages),
        "busy": noticed.busy,
        "errors": noticed.errors[:10],
        "error_count": len(noticed.errors),
        "pss_mib": {"start": before, "end": tree_pss(pid)},
    }


def measure(counts: list[int], seconds: float) -> list[dict[str, Any]]:
    """Measure the site in the folder and with the database that the environment names."""
    from django.conf import settings
    from django.db import connection

    # The accounts' passwords are never used; hashing them as usual takes a second each.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    people = [signed_in(f"doctor{number}@example.org") for number in range(max(counts))]
    connection.close()
    found = []
    with server(os.environ["XRAYSITE_VAR"]) as (port, pid):
        load(port, pid, people[:4], 2)
        for count in counts:
            found.append(load(port, pid, people[:count], seconds))
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    )
                    found[-1]["connections"] = cursor.fetchone()[0] - 1
                connection.close()
            say(found[-1])
    return found


def say(row: dict[str, Any]) -> None:
    """Print a row as soon as it is measured, for long runs."""
    print(json.dumps(row), file=sys.stderr)


def apart(database: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure one database in a process of its own, with a folder and a server of its own."""
    from tests import postgres

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-load-"))
        out = Path(folder, "found.json")
        command = [sys.executable, __file__, "--one", folder, "--json", str(out)]
        command += ["--seconds", str(arguments.seconds)]
        command += ["--clients", *map(str, arguments.clients)]
        if database == "postgresql":
            url = stack.enter_context(postgres.server(durable=True))
            command += ["--url", postgres.create_database(url, "load")]
        subprocess.run(command, check=True)
        found: list[dict[str, Any]] = json.loads(out.read_text())
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 50, 100])
    parser.add_argument("--seconds", type=float, default=20, help="for each (default: 20)")
    parser.add_argument("--database", nargs="+", choices=["sqlite", "postgresql"],
                        default=["sqlite", "postgresql"])  # fmt: skip
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ["LIMIT_UPLOADS"] = "99999/h"
    if arguments.one:
        start_django(arguments.one, arguments.url)
        arguments.json.write_text(json.dumps(measure(arguments.clients, arguments.seconds)))
        return
    here = machine()
    say_machine(here)
    found = {database: apart(database, arguments) for database in arguments.database}
    rows = [
        [
            database, row["clients"], f"{row['readings_per_s']:.1f}", f"{row['cpu_ms']:.0f}",
            *(f"{row['upload_ms'][name]:.0f}" for name in ("median", "p95", "p99")),
            *(f"{row['page_ms'][name]:.0f}" for name in ("median", "p99")),
            row["busy"], row["error_count"],
            *(f"{row['pss_mib'][name]:.0f}" for name in ("start", "end")),
            row.get("connections", ""),
        ]
        for database, measured in found.items()
        for row in measured
    ]  # fmt: skip
    head = ["", "clients", "readings/s", "CPU ms each", "upload p50", "p95", "p99", "page p50",
            "p99", "busy",
            "errors", "MiB before", "after", "connections"]  # fmt: skip
    print(table(head, rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": here, "databases": found}, indent=2))


if __name__ == "__main__":
    main()
