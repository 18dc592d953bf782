"""Where the time of an upload goes.

    python benchmarks/bench_upload.py [--uploads N] [--json F]

One client uploads JPEGs of two megapixels to one web process of the real server, one after the
other. CPU time hardly depends on other work of the machine; the time by the clock includes waiting
for the disk and for the processor.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_peer import films
from measuring import machine, say_machine, table
from profiled_parts import PARTS, REST
from serving import children, server, signed_in, tree_cpu, upload
from sites import start_django

WARM_UP = 5


def measure(uploads: int, folder: str) -> dict[str, Any]:
    """Return medians by part in ms, by the clock and of the CPU, and totals for an upload."""
    out = Path(folder, "profile")
    os.environ |= {"PROFILE": str(out), "WEB_CONCURRENCY": "1"}
    made, person = films(uploads + WARM_UP), signed_in("doctor@example.org")
    with server(folder, "benchmarks.profiled:application") as (port, pid):
        for film in made[:WARM_UP]:
            upload(port, person, film)
        (worker,) = children(pid)
        decoders = children(worker)
        before, in_decoders = tree_cpu(worker), sum(map(tree_cpu, decoders))
        started = time.perf_counter()
        for film in made[WARM_UP:]:
            status, _ = upload(port, person, film)
            if status != 302:
                raise SystemExit(f"An upload was answered {status}.")
        took = time.perf_counter() - started
        all_cpu = tree_cpu(worker) - before
        in_decoders = sum(map(tree_cpu, decoders)) - in_decoders
    lines = [json.loads(line) for line in out.read_text().splitlines()][WARM_UP:]
    parts = {
        part: [float(np.median([line.get(part, (0, 0))[index] for line in lines]))
               for index in (0, 1)]
        for part in (*PARTS, REST)
    }  # fmt: skip
    own = sum(cpu for _, cpu in parts.values())
    each = 1000 / uploads
    parts["decoder process"] = [0.0, in_decoders * each]
    parts["server: receiving and sending"] = [0.0, max(0.0, (all_cpu - in_decoders) * each - own)]
    return {"ms": parts, "upload_ms": took * each, "cpu_ms": all_cpu * each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=100, help="(default: 100)")
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()
    os.environ["LIMIT_UPLOADS"] = "99999/h"
    here = machine()
    say_machine(here)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        start_django(folder, None)
        found = measure(arguments.uploads, folder)
    total = sum(cpu for _, cpu in found["ms"].values())
    rows = [
        [part, f"{clock:.1f}" if clock else "", f"{cpu:.1f}", f"{100 * cpu / total:.0f} %"]
        for part, (clock, cpu) in sorted(found["ms"].items(), key=lambda row: -row[1][1])
    ]
    print(table(["median of an upload", "clock ms", "CPU ms", "of the CPU time"], rows))
    print(f"An upload: {found['upload_ms']:.1f} ms by the clock, {found['cpu_ms']:.1f} ms of CPU.")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": here, "found": found}, indent=2))


if __name__ == "__main__":
    main()
