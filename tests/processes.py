"""Python processes that start with TensorFlow already imported.

Importing TensorFlow, Keras and scikit-learn takes longer than most of what the tests run in a
separate process. A server (`multiprocessing`'s fork server) imports them once and forks for every
process, so each still has its own interpreter state, environment, folder and exit status.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
# Only libraries: a process may run another copy of the project. TensorFlow contains an SQLite
# without full-text search, which Python would use if it were loaded first.
LIBRARIES = [
    "sqlite3", "django.db.models", "tensorflow", "keras", "matplotlib.figure",
    "sklearn.linear_model",
]  # fmt: skip

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(LIBRARIES)


class Started:
    """A process that is running or has ended.

    Args:
        arguments: what follows `python` on a command line: a script, `-m` and a module, or `-c`
            and code; then their arguments.
        cwd: the folder to run in.
        env: the complete environment.
        umask: the process's umask; defaults to that of this process.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str],
        umask: int | None = None,
    ) -> None:
        self.arguments = [str(argument) for argument in arguments]
        self.folder = tempfile.TemporaryDirectory(prefix="process-")
        self.files = [Path(self.folder.name) / name for name in ("stdout", "stderr")]
        with mock.patch.dict(os.environ, QUIET):
            forkserver.ensure_running()
        self.process = CONTEXT.Process(
            target=_run, args=(self.arguments, str(cwd), dict(env), umask, self.files)
        )
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def finish(self, *, timeout: float) -> "subprocess.CompletedProcess[str]":
        """Wait for the process to end; return its exit status and what it printed.

        Raises:
            subprocess.TimeoutExpired: it ran for longer than `timeout` seconds, and was killed.
        """
        self.process.join(timeout)
        expired = self.process.exitcode is None
        if expired:
            self.process.kill()
            self.process.join()
        stdout, stderr = (path.read_text() if path.exists() else "" for path in self.files)
        status = self.process.exitcode
        self.folder.cleanup()
        if expired:
            raise subprocess.TimeoutExpired(self.arguments, timeout, stdout, stderr)
        return subprocess.CompletedProcess(self.arguments, int(status or 0), stdout, stderr)


def run(
    arguments: Sequence[object],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str],
    umask: int | None = None,
    timeout: float = 300,
) -> "subprocess.CompletedProcess[str]":
    """Run a process to its end; see `Started`."""
    return Started(arguments, cwd=cwd, env=env, umask=umask).finish(timeout=timeout)


def _run(
    arguments: list[str],
    cwd: str,
    env: dict[str, str],
    umask: int | None,
    files: list[Path],
) -> None:
    """Become the process: this runs in the fork."""
    for number, path in enumerate(files, start=1):
        with path.open("wb", buffering=0) as file:
            os.dup2(file.fileno(), number)
    if umask is not None:
        os.umask(umask)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    first, *rest = arguments
    start = cwd if first in {"-c", "-m"} else str(Path(cwd, first).parent)
    sys.path[:] = [start, *(path for path in sys.path if path not in {"", str(ROOT)})]
    if first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    elif first == "-m":
        sys.argv = list(rest)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(first, run_name="__main__")
