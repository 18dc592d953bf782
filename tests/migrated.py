"""A site's folder after `manage.py migrate`, made once in a test run: migrating takes seconds."""

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.processes import ROOT
from xraysite.settings import base

# What the site that is copied was told. Another database or another key needs a site of its own.
SETTINGS = "xraysite.settings.local"


def copy_to(var: Path, *, with_model: bool = False) -> None:
    """Make `var` the folder of a site with SQLite, without people and readings.

    Args:
        var: the folder.
        with_model: whether the shipped model is active; otherwise every table is empty.

    Raises:
        FileExistsError: the folder exists.
    """
    shutil.copytree(_templates() / ("active" if with_model else "migrated"), var)


@cache
def _templates() -> Path:
    """Return a folder with the folders to copy: one for all processes of a test run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"migrated-{run}"
    folder.mkdir(mode=0o700, exist_ok=True)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _make(folder)
            (folder / "done").touch()
    return folder


def _make(folder: Path) -> None:
    for name in ("migrated", "active"):
        shutil.rmtree(folder / name, ignore_errors=True)
    _manage(folder / "migrated", "migrate")
    shutil.copytree(folder / "migrated", folder / "active")
    _manage(folder / "active", "activate_model", base.SHIPPED_MODEL)


def _manage(var: Path, *arguments: str) -> None:
    kept = ("PATH", "HOME", "LANG")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "XRAYSITE_VAR": str(var),
        "PYTHONPATH": str(ROOT),
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "manage.py", *arguments, "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
