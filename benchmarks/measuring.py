"""What the benchmarks share: one core, honest memory, plain tables.

Importing this puts the repository's root on the path, so that a benchmark runs from anywhere.
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
# Read by TensorFlow and Django when they are loaded, which is later.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def pin_to_one_core() -> None:
    """Keeps this process on one processor core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # For libraries that count the machine's cores and not those they may use.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = "1"


def resident_mb() -> float:
    """Returns how much memory this process holds now, in MB of 10^6 bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        # Elsewhere the peak stands in; macOS counts it in bytes, others in KiB.
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def milliseconds(run: Callable[[], Any], repeats: int, *, warm_up: int = 5) -> dict[str, float]:
    """Times `repeats` calls of `run` in milliseconds; see `summary`."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return summary(times)


def summary(times: Sequence[float]) -> dict[str, float]:
    """Returns `best`, `median` and `p95`; of a single time, it is all three."""
    ordered = sorted(times)
    return {
        "best": ordered[0],
        "median": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
    }


def machine() -> dict[str, Any]:
    """Returns what the figures hang on besides the code."""
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
    """Prints the machine, and warns where it was busy with other work."""
    print(
        f"{found['processor']}, {found['cores']} cores, {found['system']}, "
        f"Python {found['python']}; load {found['load_1min']} before the run"
    )
    if found["load_1min"] > 0.5:
        print("Other work was running: times are too long; trust the ratios, not the figures.")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a plain table; the first column stands left, the others right."""
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
