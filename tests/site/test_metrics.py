"""Metrics: who may read them, what they count, and that processes are added up."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import AuditHead
from diagnosis.models import Reading
from tests.accounts.sign_up_steps import anonymous_browser, sign_in
from tests.conftest import post_film, upload_of
from xraysite.common import metrics

pytestmark = pytest.mark.django_db
TOKEN = "a token of the monitor"
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def monitor(settings) -> Client:
    settings.METRICS_TOKEN = TOKEN
    return Client(headers={"authorization": f"Bearer {TOKEN}"})


def value(monitor: Client, name: str, **labels: str) -> float:
    """Return the sum of a metric's values that have all these labels."""
    response = monitor.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    total = 0.0
    for line in response.content.decode().splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match and match[1] == name:
            has = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if labels.items() <= has.items():
                total += float(match[3])
    return total


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}"])
def test_only_a_monitor_with_the_token_reads_metrics(settings, sent, as_supervisor):
    settings.METRICS_TOKEN = TOKEN
    assert Client(headers={"authorization": sent}).get("/metrics").status_code == 404
    assert as_supervisor.get("/metrics").status_code == 404


@pytest.mark.parametrize("sent", ["Bearer ", "Bearer None", ""])
def test_without_a_token_there_are_no_metrics(settings, sent):
    settings.METRICS_TOKEN = ""
    assert Client(headers={"authorization": sent}).get("/metrics").status_code == 404


def test_requests_are_counted_by_page_and_not_by_address(monitor, client, active_model):
    before = value(monitor, "xraysite_requests_total", page="about", method="GET", status="200")
    timed = value(monitor, "xraysite_request_seconds_count", page="about")
    client.get("/about/")
    after = value(monitor, "xraysite_requests_total", page="about", method="GET", status="200")
    assert after == before + 1
    assert value(monitor, "xraysite_request_seconds_count", page="about") == timed + 1
    for path in ("/陳小明/", "/readings/A123/"):
        client.get(path)
        client.generic("INVENTED", path)
    text = monitor.get("/metrics").content.decode()
    assert "A123" not in text
    assert "INVENTED" not in text
    assert "陳" not in text


def test_readings_and_refusals_are_counted(
    monitor, as_doctor, active_model, film_bytes, django_capture_on_commit_callbacks
):
    names = ("xraysite_readings_total", "xraysite_model_seconds_count")
    before = [value(monitor, name) for name in names]
    with django_capture_on_commit_callbacks(execute=True):
        post_film(as_doctor, film_bytes)
    reading = Reading.objects.get()
    assert [value(monitor, name) for name in names] == [each + 1 for each in before]
    assert value(monitor, names[0], label=reading.label) >= 1
    for reason in reading.scope_reasons:
        assert value(monitor, "xraysite_out_of_scope_total", reason=reason) >= 1
    refused = value(monitor, "xraysite_refused_files_total")
    as_doctor.post("/readings/new/inspect/", {"film": upload_of(b"no film")})
    assert value(monitor, "xraysite_refused_files_total") == refused + 1


def test_a_reading_that_is_rolled_back_is_not_counted(monitor, as_doctor, active_model, film_bytes):
    before = value(monitor, "xraysite_readings_total")
    post_film(as_doctor, film_bytes)  # the test's transaction is never committed
    assert value(monitor, "xraysite_readings_total") == before


def test_failed_sign_ins_are_counted(monitor, doctor, django_capture_on_commit_callbacks):
    before = value(monitor, "xraysite_audit_rows_total", event="sign-in-failed")
    with django_capture_on_commit_callbacks(execute=True):
        sign_in(anonymous_browser(), doctor.email, "wrong")
    assert value(monitor, "xraysite_audit_rows_total", event="sign-in-failed") == before + 1


def test_what_is_looked_up(monitor, active_model, settings):
    assert value(monitor, "xraysite_ready") == 9
    assert value(monitor, "xraysite_disk_free_bytes", of="films") > 0
    assert value(monitor, "xraysite_audit_log_rows") == AuditHead.objects.get().sequence
    assert value(monitor, "xraysite_queue_waiting", queue="board_mail") == 0
    assert value(monitor, "xraysite_model_active", model=active_model.name) == 1


PROCESS = """
import sys
from django.conf import settings
settings.configure(METRICS_DIR=sys.argv[1], BASE_DIR=sys.argv[1])
from xraysite.common import metrics
print("merged", metrics.merge_ended())
for _ in range(int(sys.argv[2])):
    metrics.READINGS.labels("NORMAL").inc()
    metrics.MODEL_TIME.observe(0.02)
print(metrics.exposition().decode())
"""


def process(folder: Path, count: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(folder), str(count)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_processes_are_added_up_and_ended_ones_leave_no_files(tmp_path):
    folder = tmp_path / "metrics"
    process(folder, 3)
    process(folder, 4)
    said = process(folder, 5)
    assert 'xraysite_readings_total{label="NORMAL"} 12.0' in said
    assert "xraysite_model_seconds_count 12.0" in said
    assert 'xraysite_model_seconds_bucket{le="0.025"} 12.0' in said
    assert "merged 2" in said, "counters and histograms of the process before"
    for _ in range(3):
        said = process(folder, 0)
    assert 'xraysite_readings_total{label="NORMAL"} 12.0' in said
    assert len(list(folder.glob("*.db"))) <= 4
    assert folder.stat().st_mode & 0o077 == 0


def test_an_empty_file_of_a_killed_process_stops_nothing(tmp_path):
    folder = tmp_path / "metrics"
    process(folder, 3)
    ended = next(folder.glob("counter_[1-9]*.db"))
    ended.write_bytes(b"")
    ended.rename(folder / "counter_4194304.db")  # above the largest process id
    assert "xraysite_model_seconds_count 5.0" in process(folder, 2)
    assert not (folder / "counter_4194304.db").exists()


def test_a_count_that_cannot_be_kept_stops_nothing(as_doctor, active_model, monkeypatch, caplog):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(metrics.REQUESTS), "inc", full)
    assert as_doctor.get("/about/").status_code == 200
    assert as_doctor.post("/readings/new/inspect/", {"film": upload_of(b"x")}).status_code == 422
    assert "could not be counted" in caplog.text


def test_a_folder_that_cannot_be_used_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    said = process(tmp_path / "file" / "metrics", 2)
    assert "each process counts alone" in said
    assert 'xraysite_readings_total{label="NORMAL"} 2.0' in said


def test_metrics_are_not_shared_without_a_folder():
    assert metrics.DIRECTORY not in os.environ
    assert metrics.merge_ended() == 0


def test_the_dashboard_asks_for_metrics_that_exist(monitor, active_model):
    text = (ROOT / "deploy" / "grafana" / "xraysite.json").read_text()
    assert all(panel["targets"] for panel in json.loads(text)["panels"])
    asked = set(re.findall(r"xraysite_\w+", text))
    known = set(re.findall(r"^# TYPE (\w+)", monitor.get("/metrics").content.decode(), re.M))
    known |= {f"{name}_bucket" for name in known}
    assert len(asked) > 8
    assert asked <= known
