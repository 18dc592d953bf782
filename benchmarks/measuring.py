"""Helpers shared by the benchmarks: one core, memory use, times and tables.

Importing this module adds the repository's root to the path, so benchmarks run from any folder.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# TensorFlow and Django read these when they are imported later.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def pin_to_one_core() -> None:
    """Pin this process to one CPU core, if the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # For libraries that count all cores of the machine, not only those they may use.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = "1"


def resident_mb() -> float:
    """Return the resident memory of this process in MB (10^6 bytes)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        # Other systems report only the peak: macOS in bytes, others in KiB.
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def milliseconds(run: Callable[[], Any], repeats: int, *, warm_up: int = 5) -> dict[str, float]:
    """Time `repeats` calls of `run` in milliseconds; see `summary`."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return summary(times)


def summary(times: Sequence[float]) -> dict[str, float]:
    """Return `best`, `median`, `p95` and `p99`; all are equal for a single time."""
    ordered = sorted(times)
    return {
        "best": ordered[0],
        "median": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "p99": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
    }


def machine() -> dict[str, Any]:
    """Return a description of the machine and library versions that the figures depend on."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def say_machine(found: dict[str, Any]) -> None:
    """Print the machine, and a warning if it was busy with other work."""
    print(
        f"{found['processor']}, {found['cores']} cores, {found['system']}, "
        f"Python {found['python']}; load {found['load_1min']} before the run"
    )
    if found["load_1min"] > 0.5:
        print("Other work was running, so times are too long. Only the ratios are reliable.")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a plain-text table; the first column is left-aligned, the others right-aligned."""
    cells = [list(map(str, row)) for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = []
    for row in cells:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
