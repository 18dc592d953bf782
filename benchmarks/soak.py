"""Load, faults and mutated files at the same time, on a server of its own.

    make soak
    .venv/bin/python benchmarks/soak.py [--minutes M] [--inputs N] [--clients N] [--json F]

Starts the real server on a temporary site. Clients upload synthetic films and view pages; others
send mutated files of all kinds in `tests/films/mutations.py` through the form for a new reading;
meanwhile workers and decoders are killed, the database is locked, the disk of the films is filled,
the model is damaged and put back, and the server is reloaded. It ends after both the minutes and
the inputs. Then every acknowledged reading must exist with the film that was sent, nothing may be
stored of what was refused, and `fsck` and `verify_audit` must find nothing. Prints one table; exit
status 1 if anything was lost or went wrong. The film disk is filled only where a small one can be
mounted (as root on Linux).
"""

import argparse
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from measuring import machine, say_machine, summary, table  # noqa: E402
from serving import resident, server, signed_in  # noqa: E402
from sites import start_django  # noqa: E402
from soak_faults import FAULTS, NotTriedError, Target, descendants  # noqa: E402
from soak_site import Client, Journal, small_disk  # noqa: E402
from soak_verdict import lost  # noqa: E402

from xraysite.common import private_files  # noqa: E402

FAULT_S = 5.0
RECOVERY_S = 300.0
MOST_S = 24 * 3600.0  # for all inputs


def film(seed: int) -> bytes:
    """Return a JPEG that no other seed gives, also not as pixels."""
    from tests.films import encode, synthetic_film

    pixels = synthetic_film("NORMAL", seed=seed % 5, size=512).copy()
    noise = np.random.default_rng(seed).integers(0, 255, (64, 64), dtype=np.uint8)
    pixels[:64, :64] = noise
    return encode(pixels, "jpeg")


def load(client: Client, seeds: Iterator[int], stop: threading.Event) -> None:
    """Upload films and view pages until told to stop."""
    while not stop.is_set():
        attempt = client.send(film(next(seeds)), name="film.jpg", kind="load", stop=stop)
        client.view("/readings/")
        if attempt.reading:
            for page in ("", "film/", "heatmap/"):
                client.view(f"/readings/{attempt.reading}/{page}")


def inputs(seed: int, count: int) -> Iterator[tuple[str, int]]:
    """Yield the kind and the seed of each mutated file; all kinds equally often."""
    from tests.films.mutations import KINDS

    kinds = sorted(KINDS)
    random.Random(seed).shuffle(kinds)  # noqa: S311
    for n, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        yield kind, seed + n // len(kinds)


def fuzz(
    client: Client,
    files: Iterator[tuple[str, int]],
    lock: threading.Lock,
    expired: threading.Event,
) -> None:
    """Send mutated files, each until its answer is final."""
    from tests.films.mutations import mutated

    while not expired.is_set():
        with lock:
            drawn = next(files, None)
        if drawn is None:
            return
        kind, seed = drawn
        attempt = client.send(mutated(kind, seed), name="film", kind=kind, stop=expired)
        print(f"{kind} ({seed}): {attempt.outcome} at try {len(attempt.answers)}", file=sys.stderr)


def cause_faults(
    client: Client, target: Target, stop: threading.Event, pause: float
) -> list[dict[str, Any]]:
    """Cause each fault once, told to stop or not, and then go on in turn until told to stop."""
    found = []
    for name in itertools.cycle(FAULTS):
        done = len(found) >= len(FAULTS)
        if done and stop.wait(pause):
            return found
        started, again = time.monotonic(), threading.Event()
        try:
            FAULTS[name](target, FAULT_S)
        except NotTriedError as error:
            found.append({"name": name, "result": f"not tried: {error}"})
            continue
        timer = threading.Timer(RECOVERY_S, again.set)
        timer.start()
        attempt = client.send(film(2**31 + len(found)), name="film.jpg", kind=name, stop=again)
        timer.cancel()
        seconds = time.monotonic() - started
        survived = attempt.outcome == "acknowledged"
        if not survived:
            client.journal.complain(f"{name}: no reading within {RECOVERY_S:.0f} s afterwards")
        result = "survived" if survived else "not survived"
        found.append({"name": name, "result": result, "seconds": seconds})
        print(f"{name}: {result}, next reading after {seconds:.0f} s", file=sys.stderr, flush=True)
    raise AssertionError


def run(options: argparse.Namespace, folder: str, has_small_disk: bool) -> dict[str, Any]:
    from django.conf import settings

    var, journal = Path(folder), Journal()
    people = [signed_in(f"doctor{n}@example.org") for n in range(2 * options.clients + 1)]
    stop, expired = threading.Event(), threading.Event()
    lock, seeds = threading.Lock(), itertools.count(1)
    files = inputs(options.seed, options.inputs)
    with server(folder) as (port, pid), ThreadPoolExecutor(len(people)) as pool:
        target = Target(
            pid=pid, database=var / "db.sqlite3", films=var / "private",
            model=settings.BUNDLE_DIR / settings.SHIPPED_MODEL / "model.tflite",
            has_small_disk=has_small_disk,
        )  # fmt: skip
        clients = [Client(port, who, journal, options.deadline) for who in people]
        own, others = clients[: options.clients], clients[options.clients : -1]
        mib = [_mib(pid)]
        started = time.monotonic()
        loading = [pool.submit(load, client, seeds, stop) for client in own]
        fuzzing = [pool.submit(fuzz, client, files, lock, expired) for client in others]
        harming = pool.submit(cause_faults, clients[-1], target, stop, options.pause)
        wait(fuzzing, timeout=MOST_S)
        expired.set()
        stop.wait(max(0.0, 60 * options.minutes - (time.monotonic() - started)))
        stop.set()
        for each in wait([*loading, *fuzzing, harming]).done:
            if (error := each.exception()) is not None:
                journal.complain(f"a client stopped: {error!r}")
        took = time.monotonic() - started
        mib.append(_mib(pid))
    faults = [] if harming.exception() else harming.result()
    return _report(journal, faults, took, mib, options)


def _mib(pid: int) -> float:
    return sum(resident(each) for each in (pid, *descendants(pid)))


def _report(
    journal: Journal, faults: list[dict[str, Any]], took: float, mib: list[float], options: Any
) -> dict[str, Any]:
    own = [each for each in journal.attempts if each.kind == "load"]
    mutated = [each for each in journal.attempts if ": " in each.kind]
    acknowledged = sum(bool(each.reading) for each in own)
    return {
        "seconds": took,
        "clients": options.clients,
        "seed": options.seed,
        "load": {
            "acknowledged": acknowledged,
            "per_s": acknowledged / took,
            "upload_s": summary(journal.seconds) if journal.seconds else {},
            "told_to_wait": sum(each.answers.count("busy") for each in journal.attempts),
            "pages": dict(journal.pages),
            "mib": mib,
        },
        "inputs": {
            "kinds": len({each.kind for each in mutated}),
            "outcomes": dict(Counter(each.outcome for each in mutated)),
            "slowest_s": max((each.slowest for each in mutated), default=0.0),
        },
        "answers": dict(Counter(word for each in journal.attempts for word in each.answers)),
        "faults": faults,
        "lost": [*lost(journal), *_untried(acknowledged, mutated, faults)],
    }


def _untried(acknowledged: int, mutated: list[Any], faults: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what makes a run say nothing."""
    if not acknowledged:
        yield "No reading was acknowledged."
    if not mutated:
        yield "No mutated file was sent."
    for name in FAULTS.keys() - {each["name"] for each in faults}:
        yield f"{name}: not tried."


def rows(found: dict[str, Any]) -> list[list[str]]:
    """Return the lines of the table."""
    held, tried, times = found["load"], found["inputs"], found["load"]["upload_s"]
    outcomes = ", ".join(f"{count:,} {word}" for word, count in tried["outcomes"].items())
    pages = ", ".join(f"{count:,} × {status}" for status, count in sorted(held["pages"].items()))
    lines = [
        ["load held", f"{held['acknowledged']:,} readings, {held['per_s']:.2f} a second"],
        ["upload, s", f"median {times['median']:.2f}, p95 {times['p95']:.2f}" if times else "–"],
        ["told to try again", f"{held['told_to_wait']:,} times"],
        ["pages viewed", pages],
        ["memory, MiB", f"{held['mib'][0]:.0f} at the start, {held['mib'][1]:.0f} at the end"],
        [
            "inputs tried",
            f"{sum(tried['outcomes'].values()):,} of {tried['kinds']} kinds: {outcomes}",
        ],
        ["slowest input, s", f"{tried['slowest_s']:.1f}"],
    ]
    for name in FAULTS:
        times_ = [each for each in found["faults"] if each["name"] == name]
        results = Counter(each["result"] for each in times_)
        said = ", ".join(f"{result} ×{count}" for result, count in results.items())
        longest = max((each.get("seconds", 0.0) for each in times_), default=0.0)
        after = f", a reading within {longest:.0f} s" if longest else ""
        lines.append([f"fault: {name}", said + after])
    lines.append(["lost or wrong", "nothing" if not found["lost"] else f"{len(found['lost']):,}"])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="at least (default: 20)")
    parser.add_argument("--inputs", type=int, default=20_000, help="mutated files (default: 20000)")
    parser.add_argument("--clients", type=int, default=4, help="of each sort (default: 4)")
    parser.add_argument("--deadline", type=float, default=30, help="seconds (default: 30)")
    parser.add_argument("--pause", type=float, default=20, help="seconds between faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here = machine()
    say_machine(here)
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        megabytes = 256 + options.inputs // 20
        with small_disk(Path(folder, "private"), megabytes) as has_small_disk:
            os.environ |= {"LIMIT_UPLOADS": "99999/h", "MIN_FREE_MB": "8"}
            shipped = ROOT / "mlcore" / "bundles"
            shutil.copytree(shipped, Path(folder, "bundles"))  # one that may be damaged
            start_django(folder, None)
            for copied in Path(folder, "bundles").rglob("*"):
                private_files.close_to_others(copied)
            import tests.films.mutations  # noqa: F401 - before threads would import it at once

            found = {"machine": here, **run(options, folder, has_small_disk)}
    head = f"{found['seconds'] / 60:.1f} minutes, 2 × {options.clients} clients"
    print(table(["", head], rows(found)))
    for sentence, count in Counter(found["lost"]).most_common(50):
        print(f"LOST OR WRONG: {count} × {sentence}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    sys.exit(1 if found["lost"] else 0)


if __name__ == "__main__":
    main()
