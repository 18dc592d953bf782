"""Run the training commands in separate processes, on a site of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mlcore import gates
from tests import processes
from tests.processes import QUIET, ROOT

DRAWN = {
    "age_years": [1, 5], "view": ["PA"], "modality": ["DX"], "body_part": ["CHEST"],
    "sites": ["drawn by a computer"], "source": "tests/films.py", "licence": "Apache-2.0",
}  # fmt: skip
OVERRIDES = [f"--override={name}=a model for tests" for name in gates.NAMES]


def run_code(code: str) -> str:
    """Run code that needs Keras in a separate process; return what it prints."""
    ended = processes.run(["-c", code], env=os.environ | QUIET, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def manage(
    *arguments: object,
    var: Path,
    check: bool = True,
    python: Path | str = sys.executable,
    **environment: str,
) -> subprocess.CompletedProcess:
    """Run manage.py in a separate process, with its own database and folders."""
    folders = {"XRAYSITE_VAR": str(var), "BUNDLE_DIR": str(var / "b")}
    environment = os.environ | QUIET | environment | folders
    environment["DJANGO_SETTINGS_MODULE"] = "xraysite.settings.local"
    command = ["manage.py", *map(str, arguments)]
    if python == sys.executable:
        run = processes.run(command, env=environment)
    else:
        run = subprocess.run(
            [python, *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if check:
        assert run.returncode == 0, run.stdout + run.stderr
    return run


def train(var: Path, films: Path, name: str, *more: object, epochs: int) -> str:
    """Train a model on a site; return what the command printed."""
    stated = films.parent / "population.json"
    stated.write_text(json.dumps(DRAWN))
    run = manage("train_model", "--data", films, "--name", name, "--epochs", epochs,
                 "--image-size", 64, "--seed", 0, "--population", stated, *more,
                 var=var)  # fmt: skip
    # What TensorFlow says is in a file.
    assert run.stderr == ""
    assert f"b/.training-{name}.log" in run.stdout
    return run.stdout
