"""A pool of decoder processes for one web process or command."""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from xraysite.common.decoders import messages
from xraysite.common.decoders.errors import DecoderUnavailableError

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[3]
# Loaded by every decoder before its first file, which would wait for them otherwise.
PRELOADED = (
    "mlcore.decoding_task",
    "mlcore.engine.films.dicom.reader",
    "xraysite.common.image_task",
)
# Seconds by the clock after which a decoder is killed, however little CPU time it used.
MAX_SECONDS = 30.0
START_SECONDS = 30.0
# A decoder is replaced after so many files, or when it did not give its memory back.
MAX_FILES = 200
MAX_RESIDENT = 200 * 2**20
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "HOME")

FailureCode = Literal["time", "memory", "crash"]


class DecoderFailedError(Exception):
    """Raised when a file broke a limit or the decoder.

    Attributes:
        code: time (too much CPU time, or too long by the clock), memory, or crash.
    """

    def __init__(self, code: FailureCode) -> None:
        super().__init__(f"The decoder failed: {code}")
        self.code: FailureCode = code


class _LostError(Exception):
    """The decoder ended while it had a task."""

    def __init__(self, code: FailureCode, *, may_retry: bool) -> None:
        super().__init__(code)
        self.code, self.may_retry = code, may_retry


class Decoder:
    """One decoder process.

    Raises:
        DecoderUnavailableError: it cannot be started.
    """

    def __init__(self) -> None:
        self.files, self._timed_out = 0, False
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        # Memory of large images goes back to the system when it is freed, at most 8 MiB stay: with
        # new memory for every film, a quarter of the time went into page faults.
        environment |= {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": str(8 * 2**20)}
        environment |= {"MALLOC_MMAP_THRESHOLD_": str(8 * 2**20)}
        command = [sys.executable, "-m", "xraysite.common.decoders.worker", *PRELOADED]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise DecoderUnavailableError(str(error)) from error
        self._stdin = cast("BinaryIO", self.process.stdin)
        self._stdout = cast("BinaryIO", self.process.stdout)
        for stream in (self._stdin, self._stdout):
            _enlarge(stream)
        try:
            self._exchange(None, b"", START_SECONDS)
        except _LostError as error:
            message = f"A decoder ended while starting (status {self.process.returncode})."
            raise DecoderUnavailableError(message) from error

    def run(self, fields: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytearray]:
        """Run a task; see `Pool.run`."""
        self.files += 1
        return self._exchange(fields, content, MAX_SECONDS)

    def close(self) -> None:
        """End the process now."""
        self.process.kill()
        for stream in (self._stdin, self._stdout):
            with suppress(OSError):  # what was left in the buffer for a dead process
                stream.close()
        self.process.wait()

    def _exchange(
        self, fields: dict[str, Any] | None, content: bytes, seconds: float
    ) -> tuple[dict[str, Any], bytearray]:
        watchdog = threading.Timer(seconds, self._kill_late)
        watchdog.daemon = True
        watchdog.start()
        try:
            if fields is not None:
                messages.send(self._stdin, fields, content)
            return messages.receive(self._stdout)
        except (OSError, ValueError, messages.BrokenMessageError):
            raise self._loss() from None
        finally:
            watchdog.cancel()

    def _kill_late(self) -> None:
        self._timed_out = True
        self.process.kill()

    def _loss(self) -> _LostError:
        self.close_after_loss()
        status = self.process.returncode
        if self._timed_out or status == -signal.SIGPROF:
            return _LostError("time", may_retry=False)
        # Killed from outside (an administrator, the kernel out of memory) rather than by the file.
        return _LostError("crash", may_retry=status in (-signal.SIGKILL, -signal.SIGTERM, 0))

    def close_after_loss(self) -> None:
        """Wait for the exit status of a process whose pipe has closed, then clean up."""
        try:
            self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            logger.warning("A decoder closed its output and did not end.")
        self.close()


def _enlarge(pipe: BinaryIO) -> None:
    """Let a pipe hold 1 MB instead of 64 kB, where the system allows it: fewer switches."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the user's limit for pipes is used up
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 2**20)


class Pool:
    """Decoder processes that start when they are needed and are replaced when they end.

    Args:
        size: most processes at a time.
    """

    def __init__(self, size: int) -> None:
        self.size, self.is_failing = size, False
        self._idle: list[Decoder] = []
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._owner = os.getpid()
        atexit.register(self.close)

    def warm_up(self) -> None:
        """Start all processes.

        Raises:
            DecoderUnavailableError: one cannot be started.
        """
        started = [self._take() for _ in range(self.size - len(self._idle))]
        with self._lock:
            self._idle += started

    def run(
        self, task: str, arguments: dict[str, Any], content: bytes
    ) -> tuple[dict[str, Any], bytearray]:
        """Run a task in a decoder, waiting for a free one.

        Args:
            task: function to call, as `package.module:function`; it takes arguments and content
                and returns a dictionary for JSON and a buffer.
            arguments: passed on as JSON.
            content: the file.

        Returns:
            What the function returned.

        Raises:
            DecoderFailedError: the file broke a limit or the decoder.
            DecoderUnavailableError: no decoder can be started.
        """
        fields = {"task": task, "arguments": arguments}
        with self._free:
            try:
                return self._run_once(fields, content)
            except _LostError as lost:
                if not lost.may_retry:
                    raise DecoderFailedError(lost.code) from None
            self.close()  # whatever killed it may have killed the idle ones too
            try:
                return self._run_once(fields, content)
            except _LostError as lost:
                raise DecoderFailedError(lost.code) from None

    def close(self) -> None:
        """End all idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        if self._owner == os.getpid():
            for decoder in idle:
                decoder.close()

    def _run_once(self, fields: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytearray]:
        decoder = self._take()
        keep = False
        try:
            reply, pixels = decoder.run(fields, content)
            fits = reply.pop("resident", 0) <= MAX_RESIDENT
            keep = fits and decoder.files < MAX_FILES and "failed" not in reply
        finally:
            if keep:
                with self._lock:
                    self._idle.append(decoder)
            else:
                decoder.close()
        if "failed" in reply:
            logger.warning("A decoder failed: %s", reply.get("type", reply["failed"]))
            raise DecoderFailedError("memory" if reply["failed"] == "memory" else "crash")
        return reply, pixels

    def _take(self) -> Decoder:
        """Return an idle decoder that is alive, or a new one."""
        while True:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            if decoder is None:
                break
            if decoder.process.poll() is None:
                return decoder
            decoder.close()
        try:
            decoder = Decoder()
        except DecoderUnavailableError:
            self.is_failing = True
            logger.exception("No decoder can be started.")
            raise
        self.is_failing = False
        return decoder


_pools: dict[int, Pool] = {}
_pools_lock = threading.Lock()


def shared_pool() -> Pool:
    """Return this process's pool, of `settings.DECODERS` processes."""
    from django.conf import settings

    with _pools_lock:
        # By process: after a fork, the pipes belong to the parent.
        if os.getpid() not in _pools:
            _pools.clear()
            _pools[os.getpid()] = Pool(settings.DECODERS)
        return _pools[os.getpid()]


def run(
    task: str, arguments: dict[str, Any], content: bytes, *, in_turn: bool = True
) -> tuple[dict[str, Any], bytearray]:
    """Run a task in the shared pool when it is this request's turn.

    Args:
        task: see `Pool.run`.
        arguments: see `Pool.run`.
        content: the file.
        in_turn: whether to wait for the turn of the request's account.

    Raises:
        DecoderFailedError: the file broke a limit or the decoder.
        DecoderUnavailableError: no decoder can be started.
        xraysite.common.decoders.turns.DecodersBusyError: too many files are being decoded.
    """
    from xraysite.common.decoders import turns

    if in_turn:
        turns.take()
    return shared_pool().run(task, arguments, content)
