"""The faults that `soak` causes while its clients go on."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """The site that is harmed.

    Attributes:
        pid: gunicorn's first process.
        database: SQLite's file.
        films: the disk of the films.
        model: a file of the active model's bundle.
        has_small_disk: whether `films` is a disk of its own, which may be filled.
    """

    pid: int
    database: Path
    films: Path
    model: Path
    has_small_disk: bool


class NotTriedError(Exception):
    """Raised where a fault cannot be caused on this machine."""


def children(pid: int) -> list[int]:
    """Return the processes that any thread of a process has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def _is_decoder(pid: int) -> bool:
    try:
        return b"xraysite.common.decoders" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _kill(pids: list[int], what: str) -> None:
    if not pids:
        raise NotTriedError(f"no {what} was running")
    with suppress(ProcessLookupError):
        os.kill(pids[0], signal.SIGKILL)


def kill_worker(target: Target, seconds: float) -> None:
    _kill(children(target.pid), "worker")


def kill_decoder(target: Target, seconds: float) -> None:
    _kill([pid for pid in descendants(target.pid) if _is_decoder(pid)], "decoder")


def reload(target: Target, seconds: float) -> None:
    os.kill(target.pid, signal.SIGHUP)


def lock_database(target: Target, seconds: float) -> None:
    other = sqlite3.connect(target.database, isolation_level=None, timeout=60)
    try:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
    finally:
        other.close()


def fill_disk(target: Target, seconds: float) -> None:
    if not target.has_small_disk:
        raise NotTriedError("mounting a small disk is not permitted")
    ballast = target.films / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:  # until the disk is full
            file.write(b"\0" * 2**20)
            file.flush()
    try:
        time.sleep(seconds)
    finally:
        ballast.unlink()


def damage_model(target: Target, seconds: float) -> None:
    """Flip a bit in the model's file and let new workers find it, then put the file back."""
    whole = target.model.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    try:
        target.model.write_bytes(damaged)
        os.kill(target.pid, signal.SIGHUP)
        time.sleep(seconds)
    finally:
        target.model.write_bytes(whole)


FAULTS: dict[str, Callable[[Target, float], None]] = {
    "worker killed": kill_worker,
    "decoder killed": kill_decoder,
    "database locked": lock_database,
    "film disk full": fill_disk,
    "model damaged": damage_model,
    "reloaded (SIGHUP)": reload,
}
