"""Definition and enqueuing of background tasks, on top of django-tasks.

A task gets numbers and UUIDs only, never text: the queue's table, its backups and a broker then
contain nothing about patients. A task may run more than once, because the tasks of a worker that
died are taken up again; it has to be written so that this does no harm.
"""

import datetime
import logging
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django_tasks import task as library_task
from django_tasks import task_backends
from django_tasks.base import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_QUEUE_NAME,
    Task,
    TaskResultStatus,
)
from django_tasks_db.backend import DatabaseBackend
from django_tasks_db.models import DBTaskResult

logger = logging.getLogger(__name__)

# What each task of the site does, by its path.
TITLES: dict[str, Promise] = {}


class TryAgainError(Exception):
    """Raised by a task that is to run again later, for a cause that may pass.

    Attributes:
        after: the time to wait.
    """

    def __init__(self, message: str, *, after: datetime.timedelta) -> None:
        super().__init__(message)
        self.after = after


class TaskFailedError(Exception):
    """Raised by a task that failed for good.

    The message is stored and shown to supervisors, so it contains no patient data.
    """


# For work that may take long in total, such as reading a batch of X-rays. A worker that takes tasks
# of any queue runs those of others first.
READINGS = "readings"
LATER = -10


def background_task(
    title: Promise, *, queue: str = DEFAULT_TASK_QUEUE_NAME
) -> Callable[[Callable[..., Any]], Task]:
    """Make a function a background task, by a decorator.

    The function takes `context` (django-tasks' `TaskContext`) and keyword arguments that `enqueue`
    accepts. What it returns is stored as the result. It may raise `TryAgainError` or
    `TaskFailedError`; of other exceptions, only type and place are stored, because their message
    may quote patient data.

    Args:
        title: what the task does, for supervisors, such as "Send an email".
        queue: the queue that it waits in, one of `settings.TASK_QUEUES`.
    """

    def decorate(function: Callable[..., Any]) -> Task:
        @wraps(function)
        def run(context: Any, **arguments: Any) -> Any:
            try:
                return function(context, **arguments)
            except TryAgainError as error:
                return _run_later(made, arguments, error)
            except TaskFailedError:
                raise
            except Exception as error:
                logger.exception("The task %s failed.", made.module_path)
                raise TaskFailedError(_place_of(error)) from None

        made = library_task(takes_context=True, queue_name=queue)(run)
        TITLES[made.module_path] = title
        return made

    return decorate


def _run_later(task: Task, arguments: dict[str, Any], error: TryAgainError) -> str:
    backend = task_backends[task.backend]
    if not backend.supports_defer:
        raise TaskFailedError(str(error)) from None
    task.using(run_after=timezone.now() + error.after).enqueue(**arguments)
    return f"Tried again after {error.after}: {error}"


def _place_of(error: BaseException) -> str:
    """Return type and place of an exception, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = type(error).__qualname__
    if trace is None:
        return name
    return f"{name} in {trace.tb_frame.f_globals.get('__name__')}, line {trace.tb_lineno}"


def enqueue(
    task: Task,
    *,
    after: datetime.timedelta = datetime.timedelta(0),
    priority: int = 0,
    **arguments: Any,
) -> None:
    """Let a worker run a task once the current transaction is committed.

    With the database engine, the task is a row of the transaction: both are stored, or neither.
    Other engines get the task after the commit; if they cannot be reached then, this is logged, and
    the task is lost unless something else starts it again.

    Args:
        task: made by `background_task`.
        after: the time to wait; ignored without workers, where a task runs at once.
        priority: -100 to 100; of the tasks that are due, the highest is next. RQ ignores it.
        arguments: integers, booleans, None, UUIDs, and lists of these.

    Raises:
        TypeError: an argument is something else. Store it, and pass the key of its row.
    """
    backend = task.get_backend()
    plain = {name: _plain(name, value) for name, value in arguments.items()}
    if after and backend.supports_defer:
        task = task.using(run_after=timezone.now() + after)
    if priority and backend.supports_priority:
        task = task.using(priority=priority)
    if isinstance(backend, DatabaseBackend):
        task.enqueue(**plain)
    else:
        transaction.on_commit(lambda: task.enqueue(**plain), robust=True)


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(name, each) for each in value]
    raise TypeError(
        f"Tasks take integers, booleans, UUIDs and None, because text may name a patient. Store "
        f"the value and pass the key of its row. Received for {name!r}: {type(value).__name__}."
    )


def is_queued(task: Task) -> bool:
    """Return whether the database's queue has a task of this kind that waits or runs."""
    rows = DBTaskResult.objects.filter(task_path=task.module_path)
    return rows.filter(status__in=[TaskResultStatus.READY, TaskResultStatus.RUNNING]).exists()


def has_workers() -> bool:
    """Return whether tasks run in workers; otherwise they run at once, where they are enqueued."""
    return bool(task_backends[DEFAULT_TASK_BACKEND_ALIAS].supports_defer)


def has_database_queue() -> bool:
    """Return whether the queue is a table of the site's database."""
    return isinstance(task_backends[DEFAULT_TASK_BACKEND_ALIAS], DatabaseBackend)
