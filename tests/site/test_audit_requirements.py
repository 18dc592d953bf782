"""The check for known vulnerabilities covers every lock, with advisories made up by the test."""

import json
import runpy
import subprocess
from types import SimpleNamespace

import pytest

from tests.locks import LOCKS, ROOT, entries

SCRIPT = ROOT / "scripts" / "audit_requirements.py"


@pytest.fixture
def advisories(monkeypatch):
    """What pip-audit prints, by lock; for a lock without an entry it prints nothing."""
    known: dict[str, list[dict]] = {}

    def pip_audit(command, **options):
        file = command[command.index("--requirement") + 1]
        found = json.dumps({"dependencies": known[file]}) if file in known else ""
        return SimpleNamespace(stdout=found)

    monkeypatch.setattr(subprocess, "run", pip_audit)
    return known


def main() -> int:
    return runpy.run_path(str(SCRIPT))["main"]()


def package(*vulnerabilities: dict) -> dict:
    return {"name": "django", "version": "1.0", "vulns": list(vulnerabilities)}


@pytest.mark.parametrize("file", ["requirements-dev.txt", "requirements-node.txt"])
def test_a_known_vulnerability_fails_the_check(advisories, capsys, file):
    advisories[file] = [package({"id": "CVE-1", "fix_versions": ["1.1"]}), package()]
    assert main() == 1
    said = capsys.readouterr().out
    assert f"{file}: 2 of 2 requirements checked." in said
    assert "django 1.0: CVE-1, fixed in 1.1" in said
    assert said.count("NOT CHECKED") == 1, "the other lock"


def test_without_advisories_it_says_of_each_lock_that_it_was_not_checked(advisories, capsys):
    assert main() == 0
    said = capsys.readouterr().out
    assert "NOT CHECKED: the advisories on requirements-dev.txt could not be fetched." in said
    assert "NOT CHECKED: the advisories on requirements-node.txt could not be fetched." in said


def versions(*files: str) -> set[tuple[str, str]]:
    pins = (pin for file in files for pin in entries((ROOT / file).read_text()))
    return {(pin.name, str(pin.specifier)) for pin in pins}


def test_every_locked_version_is_audited():
    files = [path.name for path in ROOT.glob("requirements*.txt")]
    assert set(files) == {*LOCKS, "requirements-node.txt"}
    assert versions(*files) == versions(*runpy.run_path(str(SCRIPT))["FILES"])
