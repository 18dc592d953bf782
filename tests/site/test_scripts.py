"""The scripts run by make and CI, with stand-ins for system programs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.locks import ROOT

SH = shutil.which("sh")
TOOLS = ("sh", "cat", "grep", "tail", "mktemp", "rm")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A PATH without those programs; adds stand-ins that record their arguments."""
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(str(shutil.which(tool)))

    def add(name: str, code: str = "") -> None:
        (path / name).write_text(f'#!{SH}\necho "{name} $*" >>{tmp_path}/called\n{code}\n')
        (path / name).chmod(0o755)

    monkeypatch.setenv("PATH", str(path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    return add


def system_packages(*packages: str) -> str:
    done = subprocess.run(
        [ROOT / "scripts" / "system-packages", *packages],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def called(tmp_path: Path) -> list[str]:
    return (tmp_path / "called").read_text().splitlines()


def test_missing_packages_are_installed_as_root(tmp_path, system):
    system("id", "echo 0")
    system("apt-get")
    system("msgfmt")
    said = system_packages("chromium", "fonts-noto-cjk", "gettext")
    assert said == "Installing Debian packages: chromium fonts-noto-cjk gettext ...\n"
    assert called(tmp_path)[-2:] == [
        "apt-get update -qq", "apt-get install -y -qq chromium fonts-noto-cjk gettext"
    ]  # fmt: skip


def test_installed_packages_are_not_installed_again(tmp_path, system):
    for program in ("chromium", "msgfmt", "xgettext", "apt-get"):
        system(program)
    system("fc-list", "echo Noto Sans CJK TC")
    assert system_packages("chromium", "fonts-noto-cjk", "gettext") == ""
    assert called(tmp_path) == ["fc-list :lang=zh-tw"]


@pytest.mark.parametrize("user", ["1000", "0"], ids=["no rights", "no Debian"])
def test_skipped_tests_are_announced_without_install_rights(system, user):
    system("id", f"echo {user}")
    if user != "0":
        system("apt-get")
    said = system_packages("chromium")
    assert "NOT INSTALLED: chromium." in said
    assert "sudo apt-get install chromium" in said


def test_a_failed_installation_is_reported_and_stops_nothing(system):
    system("id", "echo 0")
    system("apt-get", "echo E: no network; exit 100")
    said = system_packages("gettext")
    assert "E: no network" in said
    assert "COULD NOT INSTALL: gettext." in said


def test_each_skipped_test_is_named(pytestconfig):
    """Otherwise the log would only contain the number of skipped tests."""
    assert not pytestconfig.getoption("fold_skipped")
    assert pytestconfig.getoption("reportchars") == "a"


@pytest.mark.xdist_group("groups")
def test_worker_runs_a_whole_group(request, pytestconfig):
    """Otherwise each worker would build the group's fixtures, some of which take a minute."""
    if not hasattr(pytestconfig, "workerinput"):
        pytest.skip("NOT TESTED: pytest runs without pytest-xdist's workers")
    assert request.node.nodeid.endswith("@groups")


def test_last_line_in_ci_is_pytests(tmp_path, system):
    """CI reads the number of tests from the end of the log."""
    for name in ("Makefile", "scripts/test", "scripts/system-packages", "scripts/install-locked",
                 "scripts/make-venv", ".ci/run"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for tool in ("bash", "make", "dirname", "env", "touch"):
        if not shutil.which(tool, path="/usr/bin:/bin"):
            pytest.skip(f"NOT TESTED: {tool} is not installed")
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool, path="/usr/bin:/bin")))
    system("id", "echo 1000")
    venv = tmp_path / ".venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").write_text(f'#!{SH}\necho "== 3 passed in 1.0s =="\n')
    (tmp_path / "scripts" / "check").write_text(f"#!{SH}\necho all checks passed\n")
    for script in (venv / "python", tmp_path / "scripts" / "check"):
        script.chmod(0o755)
    for lock in ("requirements-serve.txt", "requirements.txt", "requirements-dev.txt"):
        (tmp_path / lock).touch()
    (tmp_path / ".venv" / ".python").touch()
    (tmp_path / ".venv" / ".installed-dev").touch()
    done = subprocess.run(
        ["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "all checks passed" in lines
    assert any(line.startswith("NOT INSTALLED: chromium fonts-noto-cjk ") for line in lines)
    assert lines[-1] == "== 3 passed in 1.0s =="
