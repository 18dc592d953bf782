"""Time that has passed, even if somebody set the clock."""

import functools
import math
import time
from pathlib import Path
from typing import Any

# A clock that is corrected by less counts as correct.
TOLERANCE_S = 60
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def boot_id() -> str:
    """Return what identifies this start of the machine; "" if the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def uptime() -> float:
    """Return the seconds since the machine started, asleep or not, whatever its clock shows."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def moment() -> list[Any]:
    """Return the present moment on both clocks, in a form that JSON can store."""
    return [time.time(), boot_id(), uptime()]


def elapsed(since: list[Any]) -> float:
    """Return the seconds that have passed since a moment.

    The longer of what the two clocks say. The uptime counts only if the machine has not restarted
    since, and the moment is this machine's.

    Args:
        since: see `moment`.

    Returns:
        Infinity if the moment lies in the future and only the clock on the wall could tell: it was
        set back, so nobody knows how much time has passed.
    """
    wall, boot, up = since
    by_clock = time.time() - wall
    if boot and boot == boot_id():
        return max(by_clock, uptime() - up, 0.0)
    return math.inf if by_clock < -TOLERANCE_S else max(by_clock, 0.0)
