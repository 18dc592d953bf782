"""The files in deploy/ fit the site: units, container file, compose file, jobs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from tests.locks import ROOT
from tests.site.test_serve_set import PARTS

DEPLOY = ROOT / "deploy"
SETTINGS = "\n".join(
    path.read_text()
    for path in [*(ROOT / "xraysite" / "settings").glob("*.py"), ROOT / "xraysite/gunicorn.py"]
)


def test_container_contains_what_serving_needs_and_no_tests():
    text = (DEPLOY / "Containerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert set(PARTS) <= copied
    assert all((ROOT / source).exists() for source in copied)
    assert "requirements-serve.txt" in copied
    assert not copied & {"tests", "requirements.txt", "requirements-dev.txt", "."}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert all(f"!{source}" in ignored for source in copied)


def test_container_does_not_run_as_root():
    text = (DEPLOY / "Containerfile").read_text()
    last_stage = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", last_stage, flags=re.MULTILINE)
    assert "HEALTHCHECK" in last_stage


def test_compose_file_restricts_every_service_of_the_site():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name in ("prepare", "web", "worker", "jobs"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("ports")
    assert compose["services"]["web"]["depends_on"]["prepare"]["condition"].endswith(
        "completed_successfully"
    )
    assert compose["networks"]["inside"]["internal"] is True
    assert compose["services"]["database"]["networks"] == ["inside"]


def test_the_listener_runs_as_restricted_as_the_others():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    listener = compose["services"]["dicom"]
    assert listener["command"] == ["python", "manage.py", "dicom_listen"]
    assert listener["read_only"] is True
    assert listener["cap_drop"] == ["ALL"]
    unit = (DEPLOY / "systemd" / "xraysite-dicom.service").read_text()
    assert re.search(r"^ExecStart=.* manage\.py dicom_listen$", unit, flags=re.MULTILINE)
    assert "ProtectSystem=strict" in unit


def test_variables_and_commands_exist():
    names = re.findall(r"^([A-Z_]+)=", (DEPLOY / "environment.example").read_text(), flags=re.M)
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    names += compose["x-site"]["environment"]
    for name in set(names) - {"DJANGO_SETTINGS_MODULE"}:
        assert f'"{name}"' in SETTINGS, name
    text = (DEPLOY / "job").read_text() + (DEPLOY / "compose.yaml").read_text()
    commands = set(re.findall(r"(?:^\s+run|manage\.py) ([a-z_]+)", text, flags=re.MULTILINE))
    assert len(commands) >= 10
    assert commands <= set(get_commands())


@pytest.mark.parametrize("job", ["mail", "nightly"])
def test_every_job_runs_although_another_fails(tmp_path, job):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n[ "$2" != verify_audit ]\n')
    python.chmod(0o700)
    done = subprocess.run(
        [DEPLOY / "job", job],
        env=os.environ | {"PYTHON": str(python), "CSRF_TRUSTED_ORIGINS": "https://a.org,https://b"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if job == "mail":
        sent = "manage.py send_board_mail --site https://a.org"
        assert (done.returncode, lines) == (0, [sent, "manage.py recover_tasks"])
    else:
        assert done.returncode == 1
        assert "manage.py verify_audit failed" in done.stderr
        assert lines[-1] == "manage.py clearsessions"


def test_examples_start_the_worker_that_their_settings_need():
    """Without it, emails would wait for ever."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert compose["x-site"]["environment"]["TASK_ENGINE"] == "database"
    worker = compose["services"]["worker"]
    assert worker["command"] == ["python", "manage.py", "db_worker"]
    assert "outside" in worker["networks"], "the mail server is outside"
    assert "\nTASK_ENGINE=database\n" in (DEPLOY / "environment.example").read_text()
    unit = (DEPLOY / "systemd" / "xraysite-worker.service").read_text()
    assert re.search(r"^ExecStart=.* manage\.py db_worker$", unit, flags=re.MULTILINE)
    assert re.search(r"^Restart=always$", unit, flags=re.MULTILINE)


def test_systemd_accepts_the_units(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("NOT TESTED with systemd: systemd-analyze is not installed")
    units = []
    for path in sorted((DEPLOY / "systemd").iterdir()):
        text = path.read_text()
        # The programs and accounts of the server are not those of this machine.
        text = text.replace("/srv/xraysite/.venv/bin/python", "/bin/true")
        text = text.replace("/srv/xraysite/deploy/job", "/bin/true")
        text = re.sub(r"=(xraysite|www-data)$", "=root", text, flags=re.MULTILINE)
        copy = tmp_path / path.name
        copy.write_text(text)
        units.append(Path(str(copy).replace("@.service", "@mail.service")))
    (tmp_path / "xraysite-job@mail.service").symlink_to(tmp_path / "xraysite-job@.service")
    done = subprocess.run(
        [analyze, "verify", "--recursive-errors=no", *units],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert complaints == []
