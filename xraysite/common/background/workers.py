"""Workers that say they are alive, and the tasks of those that no longer do.

A worker killed with SIGKILL leaves its task marked as running, and django-tasks never takes it up
again. So each worker writes a row every few seconds; once a row is `settings.WORKER_DEAD_AFTER`
old, its tasks wait again for another worker. All times are of the database's clock.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.models.functions import Now
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from xraysite.common.background import mails, recovery
from xraysite.common.background.models import Worker

logger = logging.getLogger(__name__)

# Beats in the time after which a worker counts as dead: some may fail or be late.
BEATS = 6
# A task during which so many workers died is not tried again: it may be what kills them.
MAX_DEATHS = 3
# Exit status of a worker that was declared dead while it lived.
DECLARED_DEAD = 75


class WorkerDiedError(Exception):
    """The error of a task during which `MAX_DEATHS` workers died."""


@contextmanager
def alive(name: str) -> Iterator[None]:
    """Say in the background that the worker `name` is alive, and take over from dead ones."""
    Worker.objects.create(name=name, started_at=Now(), seen_at=Now())
    ended = threading.Event()
    thread = threading.Thread(target=_beat_until, args=(ended, name), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        Worker.objects.filter(pk=name).delete()


def _beat_until(ended: threading.Event, name: str) -> None:
    try:
        while not ended.is_set():
            try:
                beat(name)
                put_back()
                mails.requeue()
                recovery.run()
            except DatabaseError:
                # The next beat tries again; this worker counts as dead if none succeeds in time.
                logger.exception("The worker %s could not say that it is alive.", name)
                close_old_connections()
            ended.wait(settings.WORKER_DEAD_AFTER / BEATS)
    finally:
        connection.close()


def beat(name: str) -> None:
    """Say that the worker `name` is alive.

    If it has been declared dead (its machine was suspended, or the database unreachable), others
    have its task: the process ends at once.
    """
    if not Worker.objects.filter(pk=name).update(seen_at=Now()):
        logger.critical("The worker %s was declared dead. It ends; another has its task.", name)
        os._exit(DECLARED_DEAD)


def put_back() -> int:
    """Let other workers take up the tasks of dead workers; return the number of such tasks."""
    # Read the tasks first: a worker has its own row before it takes a task.
    running = list(DBTaskResult.objects.running())
    cutoff = Now() - timedelta(seconds=settings.WORKER_DEAD_AFTER)
    Worker.objects.filter(seen_at__lt=cutoff).delete()
    living = set(Worker.objects.values_list("pk", flat=True))
    orphans = [row for row in running if not row.worker_ids or row.worker_ids[-1] not in living]
    return sum(_put_back(row) for row in orphans)


def _put_back(row: DBTaskResult) -> bool:
    """Put back one task, unless it has been finished or taken up meanwhile."""
    changes: dict[str, object] = {"status": TaskResultStatus.READY, "started_at": None}
    deaths = len(row.worker_ids)
    if deaths >= MAX_DEATHS:
        changes = {
            "status": TaskResultStatus.FAILED,
            "finished_at": timezone.now(),
            "exception_class_path": f"{__name__}.{WorkerDiedError.__qualname__}",
            "traceback": f"WorkerDiedError: The worker died during this task, {deaths} times.\n",
        }
    same = DBTaskResult.objects.filter(
        pk=row.pk, status=TaskResultStatus.RUNNING, started_at=row.started_at
    )
    if not same.update(**changes):
        return False
    logger.warning(
        "The worker of task %s (%s) died; the task %s.",
        row.pk, row.task_path, "waits again" if deaths < MAX_DEATHS else "has failed",
    )  # fmt: skip
    return True


def living() -> int:
    """Return the number of workers that said so lately."""
    cutoff = Now() - timedelta(seconds=settings.WORKER_DEAD_AFTER)
    return Worker.objects.filter(seen_at__gte=cutoff).count()
