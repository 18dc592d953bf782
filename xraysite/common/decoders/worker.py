"""A process that decodes files, one after the other, within limits that the kernel enforces.

Started by `pool` with a clean interpreter and without the site's secrets. It takes tasks from
standard input and answers on standard output; it ends when its input does. Nothing here or in the
modules that it loads may need Django's settings.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from xraysite.common.decoders import messages

MEMORY_BYTES = 512 * 2**20
# Optional parts of pydicom, to download example files: a quarter of a decoder's memory.
UNUSED = ("requests", "tqdm")
# Seconds of CPU time for one file; a task may ask for more with `allow_seconds`.
CPU_SECONDS = 2.0
MAX_CPU_SECONDS = 10.0

_started = 0.0

Task = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], Any]]


def allow_seconds(seconds: float) -> None:
    """Set how much CPU time the current task may use in all, at most `MAX_CPU_SECONDS`.

    The process ends with SIGPROF when the time is used up, whatever library is running.
    """
    used = time.process_time() - _started
    left = min(seconds, MAX_CPU_SECONDS) - used
    signal.setitimer(signal.ITIMER_PROF, max(left, 0.001))


def main() -> None:
    """Serve tasks until standard input ends."""
    incoming = os.fdopen(os.dup(0), "rb", buffering=0)
    outgoing = os.fdopen(os.dup(1), "wb")
    # What a library prints must not end up between the messages.
    with open(os.devnull, "r+b", buffering=0) as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    modules: dict[str, Any] = sys.modules
    for name in UNUSED:
        modules[name] = None  # importing it fails
    for name in sys.argv[1:]:
        importlib.import_module(name)
    _limit()
    messages.send(outgoing, {"ready": True})
    while True:
        try:
            fields, content = messages.receive(incoming)
        except messages.BrokenMessageError:
            return
        reply, pixels = _run(fields, bytes(content))
        del content
        reply["resident"] = resident_bytes()
        messages.send(outgoing, reply, pixels)
        del pixels


def resident_bytes() -> int:
    """Return the resident memory of this process; elsewhere than on Linux, its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _run(fields: dict[str, Any], content: bytes) -> tuple[dict[str, Any], Any]:
    global _started
    module, _, name = fields["task"].partition(":")
    task: Task = getattr(importlib.import_module(module), name)
    _started = time.process_time()
    allow_seconds(fields.get("seconds", CPU_SECONDS))
    try:
        return task(fields["arguments"], content)
    except MemoryError:
        return {"failed": "memory"}, b""
    except Exception as error:  # noqa: BLE001 - reported; a message might name the patient
        return {"failed": "exception", "type": type(error).__name__}, b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit() -> None:
    """Limit memory, files and core dumps of this process; decoding yields to web processes."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        limit = mapped + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (OSError, ValueError):
        return  # macOS does not enforce it; the site runs in production on Linux


if __name__ == "__main__":
    # Under its own name, so that tasks that import this module find the same `_started`.
    from xraysite.common.decoders.worker import main as run

    run()
