"""Readings per second, latency, memory and start-up: this site beside a tutorial's web application.

    python benchmarks/bench_peer.py [--seconds N] [--clients N] [--json F]

Both serve the same JPEGs of two megapixels on the same machine, one after the other: this site as
`make run` starts it, with two web processes, and `peer.py` on Flask's own threaded server, once
with the tutorial's small CNN and once with networks as large as the shipped model's. Each client
sends its next film when the last is answered.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, machine, say_machine, summary, table
from serving import send, server, signed_in, tree_pss, upload
from sites import start_django

SIDE = 1448  # two megapixels
FILMS_PER_SECOND = 40  # more than any of them reads


def films(count: int, *, seed: int = 0) -> list[bytes]:
    """Return JPEGs of two megapixels, each with other pixels: the site recognises a film again."""
    from tests.films import encode, synthetic_film

    rng = np.random.default_rng(seed)
    film = synthetic_film("NORMAL", seed=0, size=SIDE).copy()
    made = []
    for _ in range(count):
        film[:32, :32] = rng.integers(0, 256, (32, 32), np.uint8)
        made.append(encode(film, "jpeg"))
    return made


@contextmanager
def peer(model: str) -> Iterator[tuple[int, int]]:
    """Run the tutorial's application; yields its port and process id."""
    with socket.socket() as probe, tempfile.TemporaryDirectory(prefix="peer-") as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        app = f"benchmarks.peer:create('{model}', '{folder}/films.sqlite3')"
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)],
            cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                try:
                    if send(port, "GET", "/")[0] == 200:
                        break
                except OSError:
                    time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def to_peer(port: int, name: str, film: bytes) -> tuple[int, float]:
    """Send a film to the tutorial's application."""
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

    fields = {"name": name, "film": SimpleUploadedFile("film.jpg", film, "image/jpeg")}
    body = encode_multipart(BOUNDARY, fields)
    return send(port, "POST", "/predict", body, {"Content-Type": MULTIPART_CONTENT})


def measured(
    run: Callable[[int, bytes], tuple[int, float]],
    made: list[bytes],
    pid: int,
    started: float,
    *,
    clients: int,
    seconds: float,
    expected: int,
) -> dict[str, Any]:
    """Let the clients send films for a while.

    Args:
        run: takes the number of the client and a film; returns status and seconds.
        made: enough films, each sent once.
        pid: the server's first process.
        started: seconds until it answered.
        clients: clients at once.
        seconds: how long.
        expected: status of an answer with a result.
    """
    given = iter(made)
    for client in range(clients):
        run(client, next(given))
    at_rest = tree_pss(pid)
    answers: list[tuple[int, float]] = []
    until = time.monotonic() + seconds

    def go_on(client: int) -> None:
        while time.monotonic() < until:
            answers.append(run(client, next(given)))

    threads = [threading.Thread(target=go_on, args=(client,)) for client in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    good = [duration * 1000 for status, duration in answers if status == expected]
    if not good:
        raise SystemExit(f"No reading succeeded: {sorted({status for status, _ in answers})}")
    return {
        "start_s": started,
        "readings_per_s": len(good) / took,
        "readings": len(good),
        "errors": len(answers) - len(good),
        "ms": summary(good),
        "mib": {"start": at_rest, "end": tree_pss(pid)},
    }


def compare(clients: int, seconds: float) -> dict[str, Any]:
    from django.conf import settings

    shipped = settings.SHIPPED_BUNDLE_DIR / settings.SHIPPED_MODEL / "model.keras"
    found, made = {}, films(round(FILMS_PER_SECOND * seconds) + clients)
    people = [signed_in(f"doctor{number}@example.org") for number in range(clients)]
    both = {"clients": clients, "seconds": seconds}
    begun = time.perf_counter()
    with server(os.environ["XRAYSITE_VAR"]) as (port, pid):
        started = time.perf_counter() - begun

        def to_site(client: int, film: bytes) -> tuple[int, float]:
            return upload(port, people[client], film)

        found["this site"] = measured(to_site, made, pid, started, expected=302, **both)
    for name, model in (("tutorial CNN", ""), ("same networks", str(shipped))):
        begun = time.perf_counter()
        with peer(model) as (port, pid):
            started = time.perf_counter() - begun

            def to_flask(client: int, film: bytes, port: int = port) -> tuple[int, float]:
                return to_peer(port, str(client), film)

            found[f"Flask, {name}"] = measured(to_flask, made, pid, started, expected=200, **both)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="for each server (default: 30)")
    parser.add_argument("--clients", type=int, default=8, help="at once (default: 8)")
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()
    os.environ["LIMIT_UPLOADS"] = "99999/h"
    here = machine()
    say_machine(here)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        start_django(folder, None)
        found = compare(arguments.clients, arguments.seconds)
    rows = [
        [
            name, f"{row['readings_per_s']:.1f}", f"{row['ms']['median']:.0f}",
            f"{row['ms']['p95']:.0f}", str(row["errors"]), f"{row['mib']['start']:.0f}",
            f"{row['mib']['end']:.0f}", f"{row['start_s']:.1f}",
        ]
        for name, row in found.items()
    ]  # fmt: skip
    head = ["", "readings/s", "median ms", "p95 ms", "errors", "MiB before", "MiB after", "start s"]
    print(table(head, rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": here, "servers": found}, indent=2))


if __name__ == "__main__":
    main()
