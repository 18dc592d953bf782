"""Helpers for the page benchmarks: a separate site for each size, one table for all sizes."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from measuring import machine, say_machine, table

from tests import postgres

Times = dict[str, dict[str, float]]


def start_django(folder: str, database: str | None) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "xraysite.settings.local",
        "XRAYSITE_VAR": folder,
        "LOG_LEVEL": "ERROR",
        "DEBUG": "0",
    }
    if database:
        os.environ["DATABASE_URL"] = database
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    # Pages need the names of the static files, not the files.
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
    settings.ALLOWED_HOSTS.append("testserver")
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    call_command("migrate", verbosity=0)
    call_command("activate_model", settings.SHIPPED_MODEL, verbosity=0)


def compare(
    script: str,
    about: str,
    *,
    sizes: list[int],
    repeats: int,
    what: str,
    measure: Callable[[int, int, str], dict[str, Any]],
) -> None:
    """Run a benchmark's command line; each size is measured in a separate process.

    Args:
        script: path of the benchmark, which is run again for each size.
        what: unit of the sizes, such as "readings".
        measure: takes a size, the number of requests per page and a text that the names of the
            pages to measure contain; returns `ms`, the times by page (see `measuring.summary`),
            and `lines`, further lines to print.
    """
    arguments = _arguments(about, sizes=sizes, repeats=repeats)
    if arguments.one:
        start_django(arguments.folder, arguments.database)
        arguments.json.write_text(
            json.dumps(measure(arguments.one, arguments.repeats, arguments.only))
        )
        return
    here = machine()
    say_machine(here)
    with ExitStack() as stack:
        if arguments.postgres:
            arguments.server = stack.enter_context(postgres.server())
        found = {count: _apart(script, count, arguments) for count in arguments.sizes}
    _print(found, arguments.repeats, what)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": here, "sizes": found}, indent=2))


def _arguments(about: str, *, sizes: list[int], repeats: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--database", help="URL of an empty database; allows one size only")
    parser.add_argument(
        "--postgres", action="store_true", help="use a PostgreSQL server started for the run"
    )
    parser.add_argument("--keep", type=Path, help="keep the SQLite databases in this folder")
    parser.add_argument("--only", default="", help="measure only pages whose names contain this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _apart(script: str, count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        if arguments.keep:
            folder = str(arguments.keep / str(count))
            Path(folder).mkdir(parents=True, exist_ok=True)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        out = Path(folder, "found.json")
        command = [sys.executable, script, "--one", str(count), "--folder", folder]
        command += ["--repeats", str(arguments.repeats), "--json", str(out)]
        command += ["--only", arguments.only]
        database = arguments.database
        if arguments.postgres:
            database = postgres.create_database(arguments.server, f"bench_{count}")
        if database:
            command += ["--database", database]
        subprocess.run(command, check=True)
        result: dict[str, Any] = json.loads(out.read_text())
        return result


def _print(found: dict[int, dict[str, Any]], repeats: int, what: str) -> None:
    small, large = min(found), max(found)
    rows = [
        [
            name,
            *(f"{found[count]['ms'][name]['median']:.1f}" for count in found),
            f"{found[large]['ms'][name]['p95']:.1f}",
            f"{found[large]['ms'][name]['median'] / found[small]['ms'][name]['median']:.1f}×",
        ]
        for name in found[small]["ms"]
    ]
    print(f"Median of {repeats} in ms, the p95 of the largest, and the ratio of the medians:")
    print(table(["", *(f"{count:,} {what}" for count in found), "p95", "ratio"], rows))
    for count in found:
        for line in found[count].get("lines", []):
            print(f"{count:,} {what}: {line}")
