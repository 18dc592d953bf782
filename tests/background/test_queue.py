"""The queue as operators and supervisors see it, and the tasks of dead workers."""

import datetime
import json
import re

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from accounts.models import AuditEntry
from tests.background import jobs
from tests.background.conftest import run_all
from tests.site.test_metrics import TOKEN, value
from xraysite.common import readiness
from xraysite.common.background import mails, workers
from xraysite.common.background.models import Mail, Worker
from xraysite.common.background.tasks import enqueue

RETRY = "/admin/django_tasks_database/dbtaskresult/{}/retry/"


def words_of(browser: Client, address: str = "/admin/") -> str:
    page = browser.get(address).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def age() -> None:
    DBTaskResult.objects.update(enqueued_at=timezone.now() - datetime.timedelta(minutes=11))


def running(worker: str, *earlier: str) -> DBTaskResult:
    enqueue(jobs.note, number=1)
    row = DBTaskResult.objects.get(status="READY")
    row.worker_ids = list(earlier)
    row.claim(worker)
    return row


@pytest.mark.django_db
def test_without_workers_there_is_no_queue_to_show(active_model, as_supervisor):
    assert "Background tasks Waiting" not in words_of(as_supervisor)
    (found,) = readiness.outcomes(["queue"])
    assert found.is_ok


def test_office_shows_the_queue(database_queue, active_model, as_supervisor):
    words = words_of(as_supervisor)
    assert "Waiting: 0. Running: 0. Failed: 0. Workers: 0." in words
    assert "The oldest task" not in words
    Worker.objects.create(name="a", started_at=timezone.now(), seen_at=timezone.now())
    running("a")
    enqueue(jobs.note, number=2)
    age()
    words = words_of(as_supervisor)
    assert "Waiting: 1. Running: 1. Failed: 0. Workers: 1." in words
    assert "The oldest task has been waiting for 11 minutes." in words.replace("\xa0", " ")


def test_office_names_what_failed_and_why(database_queue, active_model, as_supervisor):
    enqueue(jobs.fails)
    run_all()
    words = words_of(as_supervisor)
    assert "Failed: 1." in words
    assert "The model is missing." in words
    assert "TaskFailedError" not in words


def test_ml_staff_do_not_see_the_queue(database_queue, active_model, as_ml_engineer):
    assert "Workers:" not in words_of(as_ml_engineer)
    listed = as_ml_engineer.get("/admin/django_tasks_database/dbtaskresult/")
    assert listed.status_code == 403


def test_pages_of_tasks_show_neither_arguments_nor_tracebacks(database_queue, as_supervisor):
    enqueue(jobs.breaks, number=1)
    run_all()
    row = DBTaskResult.objects.get()
    for address in ("", f"{row.pk}/change/"):
        words = words_of(as_supervisor, f"/admin/django_tasks_database/dbtaskresult/{address}")
        assert "ValueError in tests.background.jobs" in words
        assert "Traceback" not in words


def test_retry_asks_and_is_recorded(database_queue, as_supervisor, supervisor):
    enqueue(jobs.fails)
    run_all()
    row = DBTaskResult.objects.get()
    page = as_supervisor.get(RETRY.format(row.pk)).content.decode()
    assert "Retry this task?" in page
    assert "The model is missing." in page
    row.refresh_from_db()
    assert row.status == "FAILED", "a GET changes nothing"
    as_supervisor.post(RETRY.format(row.pk))
    row.refresh_from_db()
    assert (row.status, row.traceback, row.worker_ids) == ("READY", "", [])
    entry = AuditEntry.objects.get(what="task-retried")
    assert (entry.actor, entry.object_pk) == (supervisor, str(row.pk))
    assert entry.additional_data["reason"] == "The model is missing."


@pytest.mark.parametrize("status", ["READY", "RUNNING", "SUCCESSFUL"])
def test_only_failed_tasks_can_be_retried(database_queue, as_supervisor, status):
    enqueue(jobs.note, number=1)
    DBTaskResult.objects.update(status=status)
    row = DBTaskResult.objects.get()
    page = as_supervisor.post(RETRY.format(row.pk), follow=True).content.decode()
    assert "Nothing was changed." in page
    row.refresh_from_db()
    assert row.status == status
    assert not AuditEntry.objects.filter(what="task-retried").exists()


def test_readiness_names_a_queue_that_is_behind(database_queue, active_model, client):
    enqueue(jobs.note, number=1)
    (found,) = readiness.outcomes(["queue"])
    assert found.is_ok
    age()
    readiness.forget()
    answer = client.get("/readyz")
    checks = json.loads(answer.content)["checks"]
    assert checks["queue"] == {"ok": False, "why": "behind"}
    assert answer.status_code == 200, "taking the machine out of service would send no email"
    (found,) = readiness.outcomes(["queue"])
    assert found.detail == "A task has been waiting for 11 minutes. Workers alive: 0."


def test_a_task_that_is_to_run_later_is_not_late(database_queue):
    enqueue(jobs.note, number=1, after=datetime.timedelta(hours=1))
    age()
    (found,) = readiness.outcomes(["queue"])
    assert found.is_ok
    DBTaskResult.objects.update(run_after=timezone.now() - datetime.timedelta(minutes=12))
    readiness.forget()
    (found,) = readiness.outcomes(["queue"])
    assert found.code == "behind"


def test_office_says_what_to_do(database_queue, active_model, as_supervisor):
    enqueue(jobs.note, number=1)
    age()
    assert "Start a worker (manage.py db_worker)" in words_of(as_supervisor)


def test_metrics_of_the_queue(database_queue, settings, active_model):
    settings.METRICS_TOKEN = TOKEN
    monitor = Client(headers={"authorization": f"Bearer {TOKEN}"})
    enqueue(jobs.note, number=1)
    age()
    enqueue(jobs.fails)
    DBTaskResult.objects.filter(task_path__endswith="fails").update(status="FAILED")
    assert value(monitor, "xraysite_tasks", status="waiting") == 1
    assert value(monitor, "xraysite_tasks", status="failed") == 1
    assert value(monitor, "xraysite_tasks_oldest_seconds") == pytest.approx(660, abs=60)
    assert value(monitor, "xraysite_workers") == 0


def test_tasks_of_dead_workers_only_are_put_back(database_queue):
    now = timezone.now()
    for name, minutes in (("alive", 0), ("dead", 2)):
        seen = now - datetime.timedelta(minutes=minutes)
        Worker.objects.create(name=name, started_at=seen, seen_at=seen)
    rows = {name: running(name) for name in ("alive", "dead", "never-seen")}
    assert workers.put_back() == 2
    statuses = {name: DBTaskResult.objects.get(pk=row.pk).status for name, row in rows.items()}
    assert statuses == {"alive": "RUNNING", "dead": "READY", "never-seen": "READY"}
    run_all("another")
    row = DBTaskResult.objects.get(pk=rows["dead"].pk)
    assert (row.status, row.worker_ids) == ("SUCCESSFUL", ["dead", "another"])
    assert not Worker.objects.filter(pk="dead").exists()


def test_a_task_that_kills_its_workers_fails(database_queue, active_model, as_supervisor):
    row = running("c", "a", "b")
    assert workers.put_back() == 1
    row.refresh_from_db()
    assert row.status == "FAILED"
    assert "The worker died each time it ran this task." in words_of(as_supervisor)
    as_supervisor.post(RETRY.format(row.pk))
    run_all()
    row.refresh_from_db()
    assert row.status == "SUCCESSFUL"


def test_a_task_that_was_finished_meanwhile_stays_finished(database_queue):
    row = running("dead")
    stale = DBTaskResult.objects.get(pk=row.pk)
    row.set_successful(1)
    assert not workers._put_back(stale)
    row.refresh_from_db()
    assert row.status == "SUCCESSFUL"


def test_command_recovers_without_a_worker(database_queue, capsys):
    running("dead")
    mails.store(mails.AtMostOnceMessage("s", "b", to=["a@example.org"]))
    old = timezone.now() - datetime.timedelta(minutes=11)
    Mail.objects.update(due_at=old)
    DBTaskResult.objects.filter(task_path__endswith="send_mail").delete()
    call_command("recover_tasks")
    assert capsys.readouterr().out == "1 tasks of dead workers, 1 emails without a task.\n"
