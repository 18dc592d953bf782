"""What hostile files cost, before and after, and what one doctor's fifty of them do to another.

    python benchmarks/bench_film_costs.py [--share S] [--files N] [--cap S] [--json F]

All files are drawn by code. "Before" decodes in a plain process without limits; "after" is what a
web page does. The last part starts gunicorn with two web processes on a site of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from measuring import ROOT, machine, milliseconds, say_machine, table
from serving import children, resident, send, server, signed_in, upload
from sites import start_django

UNLIMITED = """
import sys, time
from pathlib import Path
from mlcore.engine.films import film
from mlcore.engine.films.dicom import pixels, reader
film.check_cost = lambda *_: None
pixels.check_scans = lambda *_: None
data = Path(sys.argv[1]).read_bytes()
started = time.process_time()
try:
    film.read_film(data, max_bytes=2**30)
    said = "film"
except film.FilmError as error:
    said = error.code
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 1024
print(said, time.process_time() - started, peak)
"""


def before(data: bytes, cap: float) -> list[str]:
    """Decode in a process without limits, which is killed after `cap` seconds."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = [sys.executable, "-c", UNLIMITED, file.name]
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=cap
            )
        except subprocess.TimeoutExpired:
            return ["–", f"> {cap:.0f}", "–"]
    said, seconds, peak = done.stdout.split()
    return [said, f"{float(seconds):.2f}", f"{float(peak):.0f}"]


def after(data: bytes) -> list[str]:
    """Decode as a web page does; the peak is that of all decoders since the file came in."""
    from mlcore.decoding import decode_film
    from mlcore.engine.films.errors import FilmError
    from xraysite.common.decoders import pool

    pool.shared_pool().close()
    pool.shared_pool().warm_up()
    pids = [each.process.pid for each in pool.shared_pool()._idle]
    stop, peaks = threading.Event(), [0.0]

    def watch() -> None:
        while not stop.wait(0.005):
            peaks.append(max(map(resident, pids)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        decode_film(data)
        said = "film"
    except FilmError as error:
        said = error.code
    seconds = time.perf_counter() - started
    stop.set()
    watcher.join()
    return [said, f"{seconds:.2f}", f"{max(peaks):.0f}"]


def usual_films(repeats: int) -> list[list[str]]:
    """Compare the medians for ordinary films, in the same process and in a decoder."""
    from mlcore.decoding import decode_film
    from mlcore.engine.films.film import read_film
    from tests.films import encode, encode_dicom, synthetic_film

    small, large = (synthetic_film("NORMAL", seed=1, size=size) for size in (1224, 4000))
    films = {
        "JPEG, 1.5 MP": encode(small, "jpeg"),
        "DICOM, 1.5 MP": encode_dicom(small),
        "JPEG, 16 MP": encode(large, "jpeg"),
    }
    rows = []
    for name, data in films.items():
        here = milliseconds(lambda data=data: read_film(data), repeats)["median"]  # type: ignore[misc]
        there = milliseconds(lambda data=data: decode_film(data), repeats)["median"]  # type: ignore[misc]
        rows.append([name, f"{here:.1f}", f"{there:.1f}"])
    return rows


def load(files: list[bytes]) -> dict[str, Any]:
    """Send all files of one doctor at once while another doctor makes readings."""
    from tests.films import encode, synthetic_film

    hostile, other = signed_in("hostile@example.org"), signed_in("other@example.org")
    with server(os.environ["XRAYSITE_VAR"]) as (port, master):
        for seed in range(4):
            upload(port, other, encode(synthetic_film("NORMAL", seed=seed, size=512), "jpeg"))
        workers = children(master)
        at_rest = [resident(pid) for pid in workers]
        answers: list[tuple[int, float]] = []
        threads = [
            threading.Thread(target=lambda data=data: answers.append(upload(port, hostile, data)))
            for data in files
        ]
        for thread in threads:
            thread.start()
        readings, health, peaks, decoders = [], [], [*at_rest], [0.0]
        seed = 100
        while any(thread.is_alive() for thread in threads) or len(readings) < 5:
            seed += 1
            film = encode(synthetic_film("NORMAL", seed=seed, size=512), "jpeg")
            readings.append(upload(port, other, film))
            health.append(send(port, "GET", "/healthz"))
            peaks += [resident(pid) for pid in workers]
            decoders += [resident(child) for pid in workers for child in children(pid)]
        for thread in threads:
            thread.join()
        time.sleep(1)
        return {
            "files": len(files),
            "statuses": {str(s): [a[0] for a in answers].count(s) for s in {a[0] for a in answers}},
            "slowest_hostile_s": max(seconds for _, seconds in answers),
            "readings": len(readings),
            "reading_statuses": sorted({status for status, _ in readings}),
            "reading_median_s": statistics.median(seconds for _, seconds in readings),
            "reading_slowest_s": max(seconds for _, seconds in readings),
            "health_slowest_s": max(seconds for _, seconds in health),
            "web_mib": {"rest": max(at_rest), "peak": max(peaks)}
            | {"after": max(resident(pid) for pid in children(master))},
            "decoder_peak_mib": max(decoders),
            "same_processes": workers == children(master),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--share", type=float, default=1.0, help="size of the files (default: 1)")
    parser.add_argument("--files", type=int, default=50, help="sent at once (default: 50)")
    parser.add_argument("--cap", type=float, default=60, help="seconds before (default: 60)")
    parser.add_argument("--repeats", type=int, default=21, help="of ordinary films (default: 21)")
    parser.add_argument("--only", choices=["table", "load"], help="one part only")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    here = machine()
    say_machine(here)
    found: dict[str, Any] = {"machine": here}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        start_django(folder, None)
        from tests.films.costly import costly_files

        files = costly_files(arguments.share)
        if arguments.only != "load":
            usual = usual_films(arguments.repeats)
            print(table(["ordinary film, median ms", "in-process", "decoder"], usual))
            rows = []
            for name, data in files.items():
                row = [name, f"{len(data) / 1024:.0f}", *before(data, arguments.cap), *after(data)]
                rows.append(row)
                print(*row, sep=" | ", flush=True)
            head = ["file", "KiB", "before", "CPU s", "MiB", "after", "s", "MiB"]
            print(table(head, rows))
            found |= {"usual": usual, "files": rows}
        if arguments.only != "table":
            small = [data for data in files.values() if len(data) < 12 * 2**20]
            sent = [small[index % len(small)] for index in range(arguments.files)]
            found["load"] = load(sent)
            print(json.dumps(found["load"], indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
