"""`make run` in a fresh checkout needs only the serving packages and writes only to var/.

The site runs in a copy of the checkout, with the packages of requirements-serve.txt only and a
umask of 0.
"""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlcore import gates, inference, registry
from tests import processes
from tests.films import write_dataset
from tests.locks import ROOT
from tests.processes import QUIET
from xraysite.settings import base

pytestmark = pytest.mark.xdist_group("serve-set")

PARTS = (
    "accounts", "diagnosis", "exchange", "forum", "locale", "manage.py", "mlcore", "static",
    "templates", "xraysite",
)  # fmt: skip
SECONDS = 120


def check_out(folder: Path) -> Path:
    """Copy what serving needs from this checkout to `folder`."""
    folder.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, folder)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    return check_out(tmp_path_factory.mktemp("fresh") / "checkout")


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("films"), per_class=36, size=96)


def environment() -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "OPENBLAS_NUM_THREADS")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | QUIET


def manage(
    python: Path | str, checkout: Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    command = ["manage.py", *map(str, arguments)]
    if python == sys.executable:
        return processes.run(command, cwd=checkout, env=environment(), umask=0)
    return subprocess.run(
        [python, *command],
        cwd=checkout, env=environment(), umask=0,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def succeed(python: Path | str, checkout: Path, *arguments: object) -> str:
    done = manage(python, checkout, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_outside_var(checkout: Path) -> set[Path]:
    found = {path.relative_to(checkout) for path in checkout.rglob("*")}
    return {path for path in found if path.parts[0] != "var" and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def site(serve_python, checkout) -> Iterator[tuple[str, str]]:
    """The URL of the running site, and its output before it served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [serve_python, "-m", "xraysite.run", "--port", str(port)],
        cwd=checkout, env=environment(), umask=0,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said = ""
        assert server.stdout is not None
        for line in server.stdout:
            said += line
            if line.startswith("Serving on"):
                break
        else:
            pytest.fail(said)
        yield f"http://127.0.0.1:{port}", said
    finally:
        server.terminate()
        server.communicate(timeout=SECONDS)


def get(address: str) -> tuple[int, str]:
    """Fetch a page, waiting for the server to listen."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=SECONDS) as response:  # noqa: S310
                return response.status, response.read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_environment_has_no_tensorflow_or_keras(serve_python):
    for name in ("tensorflow", "keras", "matplotlib"):
        code = f"import importlib.util as u; print(u.find_spec({name!r}))"
        found = subprocess.run([serve_python, "-c", code], capture_output=True, text=True)
        assert found.stdout == "None\n", found.stderr


def test_the_site_serves(site):
    address, said = site
    assert f"{base.SHIPPED_MODEL} (" in said
    assert said.count("@example.org") == 4, "a demo account of each role, with its password"
    assert json.loads(get(f"{address}/readyz")[1])["checks"]["model"] == {"ok": True}
    for page, shown in (("/", "xraysite"), ("/accounts/login/", 'type="password"')):
        status, text = get(address + page)
        assert status == 200
        assert shown in text


def test_site_writes_only_private_files_in_var(site, checkout):
    get(f"{site[0]}/accounts/login/")
    var = checkout / "var"
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (var, *var.glob("*"))}
    del found[var / "static"]  # public files
    assert {path.name for path in found} >= {"var", "db.sqlite3", "db.sqlite3-wal", "private"}
    for path, mode in found.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_serving_commands_need_no_further_packages(site, serve_python, checkout, films, tmp_path):
    paths = sorted(films.rglob("*.jpeg"))[::24]
    out = {name: tmp_path / name for name in ("predictions", "figures", "audit")}
    succeed(serve_python, checkout, "predict_image", *paths, "--json", out["predictions"])
    succeed(serve_python, checkout, "evaluate_model", "--data", films, "--json", out["figures"])
    succeed(serve_python, checkout, "audit_dataset", "--data", films, "--json", out["audit"])
    predictions, figures, audit = (json.loads(path.read_text()) for path in out.values())
    model = registry.load(base.SHIPPED_BUNDLE_DIR / base.SHIPPED_MODEL)
    for path, found in zip(paths, predictions, strict=True):
        expected = inference.predict(path.read_bytes(), model=model)
        assert found["label"] == expected.label
        assert found["probabilities"] == pytest.approx(expected.probabilities)
        assert found["scope_score"] == pytest.approx(expected.scope_score)
    assert figures["n"] == sum(figures["confusion"].values()) == 72
    assert figures["model"] == base.SHIPPED_MODEL
    assert figures["bundle_sha256"] == model.sha256
    assert audit["films"] == 72
    assert 0 <= audit["shortcuts"]["frame"]["auc"] <= 1, "fitted by scikit-learn"


def test_training_names_missing_packages_and_how_to_install_them(
    site, serve_python, checkout, films
):
    done = manage(serve_python, checkout, "train_model", "--data", films, "--name", "mine")
    assert done.returncode == 1
    assert done.stderr == (
        "CommandError: Training needs packages that are not installed: tensorflow, keras, "
        "matplotlib. Install TensorFlow, Keras and the other training packages with: "
        "make install-train\n"
    )
    assert done.stdout == ""
    assert not (checkout / "var" / "bundles").exists()


def test_training_writes_only_to_var(serve_python, films, tmp_path):
    checkout = check_out(tmp_path / "checkout")
    succeed(serve_python, checkout, "migrate")
    before = files_outside_var(checkout)
    succeed(
        sys.executable, checkout, "train_model", "--data", films, "--name", "mine",
        "--epochs", 2, "--image-size", 64, "--seed", 0, "--population", "public-paediatric",
    )  # fmt: skip
    bundles = checkout / "var" / "bundles"
    # What the libraries said stays beside the bundle.
    assert sorted(path.name for path in bundles.iterdir()) == [".training-mine.log", "mine"]
    assert stat.S_IMODE(bundles.stat().st_mode) == 0o700
    film = next(films.rglob("*.jpeg"))
    succeed(
        serve_python,
        checkout,
        "activate_model",
        "mine",
        *(f"--override={name}=a model for tests" for name in gates.NAMES),
    )
    succeed(serve_python, checkout, "predict_image", film, "--json", tmp_path / "out")
    assert json.loads((tmp_path / "out").read_text())[0]["model"] == "mine"
    assert files_outside_var(checkout) == before
    assert {path.parts[0] for path in before} == set(PARTS)
