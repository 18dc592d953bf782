"""The locks are complete and install exactly, regardless of later releases."""

import ensurepip
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.version import Version

from tests.locks import LOCKS, ROOT, Index, entries, environments, gaps, make_environment, pins_for

TEXTS = {lock: (ROOT / lock).read_text() for lock in LOCKS}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_every_requirement_of_its_packages(lock):
    assert gaps(TEXTS[lock]) == []


def test_a_lock_without_extras_has_gaps():
    """As in the lock for which pip chose a newer `coverage[toml]` than the pinned one."""
    stripped = re.sub(r"^([a-z0-9-]+)\[.*?\]", r"\1", TEXTS["requirements-dev.txt"], flags=re.M)
    found = gaps(stripped)
    assert any(re.match(r"pytest-cov needs coverage\[toml\]", gap) for gap in found)


def test_a_lock_that_lacks_a_package_has_a_gap():
    text = TEXTS["requirements.txt"]
    without = re.sub(r"^sqlparse==(.*\n)(\s.*\n)+", "", text, flags=re.M)
    (gap,) = gaps(without)
    assert re.match("django needs sqlparse.*, which is not locked", gap)


@pytest.mark.parametrize("lock", LOCKS)
def test_each_entry_is_pinned_with_hashes(lock):
    for pin in entries(TEXTS[lock]):
        assert [specifier.operator for specifier in pin.specifier] == ["=="], pin
    blocks = re.split(r"^(?=\S)", TEXTS[lock], flags=re.M)[1:]
    assert len(blocks) == len(entries(TEXTS[lock]))
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize(
    "environment", list(environments()), ids=lambda e: f"{e['sys_platform']}-{e['python_version']}"
)
def test_the_smaller_locks_are_parts_of_the_larger(environment):
    serve, train, dev = (pins_for(TEXTS[lock], environment) for lock in LOCKS)
    for smaller, larger in ((serve, train), (train, dev)):
        assert smaller.keys() < larger.keys()
        for name, pin in smaller.items():
            assert pin.specifier == larger[name].specifier
            assert pin.extras <= larger[name].extras


def test_serving_installs_nothing_that_only_trains():
    serve, train, _ = (pins_for(TEXTS[lock]) for lock in LOCKS)
    assert {"tensorflow", "keras", "matplotlib"} <= train.keys() - serve.keys()


# --- The scripts, on a small package index ----------------------------------------------------


@pytest.fixture
def index(tmp_path) -> Index:
    """One release each of a site, a plug-in that needs an extra, and what that extra needs."""
    index = Index(tmp_path / "index")
    release_all(index, "1.0")
    return index


def release_all(index: Index, version: str) -> None:
    index.release("website", version, "Requires-Dist: toolbox>=1")
    index.release("trainer", version)
    index.release("plugin", version, "Requires-Dist: coverlib[toml]>=1")
    index.release(
        "coverlib", version, "Provides-Extra: toml", 'Requires-Dist: tomlib>=1; extra == "toml"'
    )
    index.release("tomlib", version)
    index.release("toolbox", version)


@pytest.fixture
def project(tmp_path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "requirements-serve.in").write_text("website\n")
    (project / "requirements.in").write_text("-r requirements-serve.in\ntrainer\n")
    (project / "requirements-dev.in").write_text("-r requirements.in\nplugin\n")
    return project


@pytest.fixture
def python(tmp_path) -> Path:
    return make_environment(tmp_path / "venv", ["pip"])


@pytest.fixture
def fresh_python(tmp_path) -> Path:
    """An environment like that of scripts/make-venv, with the pip that ships with Python."""
    venv.create(tmp_path / "fresh", with_pip=True)
    return tmp_path / "fresh" / "bin" / "python"


def run(command: list[str | Path], index: Index, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with that index and without the machine's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env=kept | {
            "HOME": str(folder), "UV": str(Path(sys.prefix, "bin", "uv")),
            "UV_DEFAULT_INDEX": index.url, "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(folder / "uv"),
            "PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1",
        },
    )  # fmt: skip


def lock(index: Index, project: Path, *options: str) -> None:
    done = run([ROOT / "scripts" / "lock", *options], index, project)
    assert done.returncode == 0, done.stderr


def install(python: Path, name: str, index: Index, project: Path) -> subprocess.CompletedProcess:
    return run([ROOT / "scripts" / "install-locked", python, name], index, project)


def versions(python: Path) -> dict[str, str]:
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = dict(line.split("==") for line in listed.stdout.split())
    return {name: found[name] for name in found if name not in {"pip", "setuptools"}}


def test_a_lock_installs_whatever_was_released_since(index, project, fresh_python):
    lock(index, project)
    release_all(index, "2.0")
    # From the smallest set to the largest, like somebody who first serves and then develops.
    expected = dict.fromkeys(("website", "toolbox"), "1.0")
    for name, added in (
        ("requirements-serve.txt", ()),
        ("requirements.txt", ("trainer",)),
        ("requirements-dev.txt", ("plugin", "coverlib", "tomlib")),
    ):
        done = install(fresh_python, name, index, project)
        assert done.returncode == 0, done.stderr
        expected |= dict.fromkeys(added, "1.0")
        assert versions(fresh_python) == expected


@pytest.mark.skipif(
    Version(ensurepip.version()) >= Version("23.3"),
    reason="pip 23.3 and later keep to the pinned release of a package with extras",
)
def test_the_old_way_breaks_with_the_next_release(index, project, fresh_python):
    """Stripping extras and letting pip resolve works until something newer is released."""
    lock(index, project)
    text = (project / "requirements-dev.txt").read_text()
    assert "coverlib[toml]==1.0" in text
    (project / "old.txt").write_text(text.replace("[toml]", ""))
    old = [fresh_python, "-m", "pip", "install", "--require-hashes", "-r", "old.txt"]
    assert run([*old, "--dry-run"], index, project).returncode == 0
    release_all(index, "2.0")
    broken = run(old, index, project)
    assert broken.returncode == 1
    assert "all requirements must have their versions pinned" in broken.stderr
    assert "coverlib[toml]" in broken.stderr


def test_locking_again_changes_nothing_unless_asked(index, project):
    lock(index, project)
    before = [(project / name).read_text() for name in LOCKS]
    release_all(index, "2.0")
    lock(index, project)
    assert [(project / name).read_text() for name in LOCKS] == before
    lock(index, project, "--upgrade-package", "toolbox")
    for name in LOCKS:
        assert "toolbox==2.0" in (project / name).read_text()
        assert "website==1.0" in (project / name).read_text()


def test_an_incomplete_lock_fails_to_install(index, project, python):
    lock(index, project)
    text = (project / "requirements-serve.txt").read_text()
    start = text.index("toolbox==")
    gap = text[:start] + text[text.index("website==") :]
    (project / "requirements-serve.txt").write_text(gap)
    done = install(python, "requirements-serve.txt", index, project)
    assert done.returncode == 1
    assert "website 1.0 requires toolbox" in done.stdout
    assert "make clean" in done.stderr


def test_a_replaced_file_is_not_installed(index, project, python):
    lock(index, project)
    index.release("toolbox", "1.0", "Summary: not what was locked")
    done = install(python, "requirements-serve.txt", index, project)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert versions(python) == {}


# --- make ------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("make"), reason="NOT TESTED: make is not installed")
@pytest.mark.parametrize(
    ("target", "held", "lock"),
    [
        ("run", [], "requirements-serve.txt"),
        ("install", [], "requirements-serve.txt"),
        ("install-train", [], "requirements.txt"),
        ("test", [], "requirements-dev.txt"),
        ("check", [], "requirements-dev.txt"),
        ("run", ["train"], "requirements.txt"),
        ("install", ["serve", "train", "dev"], "requirements-dev.txt"),
        ("install-train", ["dev"], "requirements-dev.txt"),
    ],
)
def test_make_installs_one_lock_and_keeps_a_larger_set(tmp_path, target, held, lock):
    """Otherwise `make run` would update only half of a developer's environment."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv").mkdir()
    for level in held:
        (tmp_path / ".venv" / f".installed-{level}").touch()
        os.utime(tmp_path / ".venv" / f".installed-{level}", (1, 1))
    for name in (*LOCKS, "scripts/make-venv", "scripts/install-locked"):
        (tmp_path / name).touch()
    would = subprocess.run(
        ["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    installed = re.findall(r"^scripts/install-locked \S+ (\S+)$", would.stdout, flags=re.M)
    assert installed == [lock]
