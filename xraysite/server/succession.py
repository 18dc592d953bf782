"""Which workers are ready to serve, so that a reload leaves no moment without one.

gunicorn stops the old workers as soon as it has started new ones, which first load the site and the
model for some seconds. An old worker therefore goes on until a new one is ready. The master and its
workers share two numbers: gunicorn counts its workers, and a worker's number is its age.
"""

import mmap
import struct
from typing import Any

_SHARED = mmap.mmap(-1, 16)
_LAST_BEFORE_RELOAD, _NEWEST_READY = 0, 8


def expect_successors(master: Any) -> None:
    """Note in the master that it is about to replace all workers (gunicorn's `on_reload`)."""
    struct.pack_into("Q", _SHARED, _LAST_BEFORE_RELOAD, master.worker_age)


def note_ready(age: int) -> None:
    """Note in a worker that it serves now."""
    newest: int = struct.unpack_from("Q", _SHARED, _NEWEST_READY)[0]
    struct.pack_into("Q", _SHARED, _NEWEST_READY, max(newest, age))


def is_needed(age: int) -> bool:
    """Return whether a worker is being replaced and none of the new ones is ready."""
    last, newest = struct.unpack("QQ", _SHARED[:])
    return bool(age <= last and newest <= last)
