"""Tasks: what they may get, when they are enqueued, and what is stored when they fail."""

import ast
import datetime
import inspect
import json
import logging
import uuid

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django_tasks_db.models import DBTaskResult

from tests.background import jobs
from tests.background.conftest import run_all
from tests.locks import ROOT
from xraysite.common.background.tasks import TITLES, enqueue

PACKAGES = ("accounts", "diagnosis", "forum", "mlcore", "xraysite")


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    jobs.RAN.clear()


@pytest.mark.parametrize("value", ["陳小明", "A123456789", 3.5, b"x", {"a": 1}, ["a"]])
def test_text_is_refused_as_an_argument(database_queue, value):
    with pytest.raises(TypeError, match="Store the value and pass the key of its row"):
        enqueue(jobs.note, number=value)
    assert not DBTaskResult.objects.exists()


@pytest.mark.django_db
def test_arguments_are_checked_without_workers_too():
    with pytest.raises(TypeError, match="may name a patient"):
        enqueue(jobs.note, number="陳小明")


def test_numbers_and_keys_are_passed_on(database_queue):
    key = uuid.uuid4()
    enqueue(jobs.note, number=3, key=key)
    assert jobs.RAN == []
    run_all()
    assert [(3, str(key))] == jobs.RAN
    row = DBTaskResult.objects.get()
    assert (row.status, row.return_value) == ("SUCCESSFUL", 3)


def test_every_task_of_the_site_takes_keys_only():
    tasks = [import_string(path) for path in TITLES if not path.startswith("tests.")]
    assert len(tasks) >= 2
    for task in tasks:
        context, *others = inspect.signature(task.func).parameters.values()
        assert context.name == "context"
        for parameter in others:
            assert parameter.kind is parameter.KEYWORD_ONLY
            is_key = parameter.annotation is str and parameter.name.endswith("_id")
            assert is_key or parameter.annotation in (int, bool), parameter


def test_tasks_are_made_and_enqueued_by_the_checked_functions_only():
    """`django_tasks.task` and `Task.enqueue` would let text through."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.is_relative_to(ROOT / "xraysite/common/background/tasks.py"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module == "django_tasks":
                    assert "task" not in {name.name for name in node.names}, path
                if isinstance(node, ast.Attribute):
                    assert node.attr not in {"enqueue", "aenqueue"}, path


def test_a_transaction_that_is_rolled_back_enqueues_nothing(database_queue, settings):
    with transaction.atomic():
        enqueue(jobs.note, number=1)
        transaction.set_rollback(True)
    assert not DBTaskResult.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_without_workers_a_task_runs_after_the_commit():
    with transaction.atomic():
        enqueue(jobs.note, number=1)
        assert jobs.RAN == []
    assert jobs.RAN == [(1, None)]
    with transaction.atomic():
        enqueue(jobs.note, number=2)
        transaction.set_rollback(True)
    assert jobs.RAN == [(1, None)]


def test_of_an_unexpected_exception_only_type_and_place_are_stored(database_queue, caplog):
    enqueue(jobs.breaks, number=1)
    with caplog.at_level(logging.CRITICAL):
        run_all()
    row = DBTaskResult.objects.get()
    assert row.status == "FAILED"
    assert "ValueError in tests.background.jobs, line " in row.traceback
    stored = json.dumps(list(DBTaskResult.objects.values()), default=str, ensure_ascii=False)
    assert "陳小明" not in stored


def test_reason_of_a_foreseen_failure_is_stored(database_queue):
    enqueue(jobs.fails)
    run_all()
    assert DBTaskResult.objects.get().traceback.endswith("TaskFailedError: The model is missing.\n")


def test_a_task_that_tries_again_waits(database_queue):
    enqueue(jobs.busy, number=7)
    run_all()
    first, second = DBTaskResult.objects.order_by("enqueued_at")
    assert first.status == "SUCCESSFUL"
    assert "The storage is full" in first.return_value
    assert (second.status, second.args_kwargs["kwargs"]) == ("READY", {"number": 7})
    waits = second.run_after - timezone.now()
    assert datetime.timedelta(minutes=4) < waits < datetime.timedelta(minutes=6)


def test_finished_tasks_are_pruned(database_queue):
    for number in range(3):
        enqueue(jobs.note, number=number)
    enqueue(jobs.fails)
    run_all()
    enqueue(jobs.note, number=9)
    old = timezone.now() - datetime.timedelta(days=15)
    keys = DBTaskResult.objects.filter(status="SUCCESSFUL").values_list("pk", flat=True)[:2]
    DBTaskResult.objects.filter(pk__in=list(keys)).update(finished_at=old)
    DBTaskResult.objects.filter(status="FAILED").update(finished_at=old)
    call_command("prune_tasks", verbosity=0)
    left = DBTaskResult.objects.values_list("status", flat=True)
    assert sorted(left) == ["FAILED", "READY", "SUCCESSFUL"]
    call_command("prune_tasks", failed_days=14, verbosity=0)
    assert not DBTaskResult.objects.filter(status="FAILED").exists()


@pytest.mark.django_db
def test_the_worker_says_what_to_do_without_a_queue():
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match="TASK_ENGINE=database"):
        call_command("db_worker")
