"""What waits, runs and has failed in the database's queue."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, QuerySet
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult, get_date_max

from xraysite.common.background import workers
from xraysite.common.background.mail_content import UnreadableError, unpacked
from xraysite.common.background.models import Mail
from xraysite.common.background.tasks import has_database_queue


@dataclass(frozen=True)
class Summary:
    """The state of the queue.

    Attributes:
        waiting: tasks that could run now or will run later.
        running: tasks that a worker runs now.
        failed: tasks that failed and were neither retried nor pruned.
        oldest_since: since when the task that waits longest could have run; None if none waits.
        workers: number of workers that are alive.
    """

    waiting: int
    running: int
    failed: int
    oldest_since: datetime | None
    workers: int


def summary() -> Summary | None:
    """Return the state of the queue, or None if tasks run at once or in another engine."""
    if not has_database_queue():
        return None
    rows = DBTaskResult.objects.order_by().values_list("status").annotate(n=Count("pk"))
    counts = dict(rows)
    return Summary(
        waiting=counts.get(TaskResultStatus.READY, 0),
        running=counts.get(TaskResultStatus.RUNNING, 0),
        failed=counts.get(TaskResultStatus.FAILED, 0),
        oldest_since=oldest_since(),
        workers=workers.living(),
    )


def oldest_since() -> datetime | None:
    """Return since when the task that waits longest could have run, or None if none waits."""
    ready = DBTaskResult.objects.ready()
    since = [
        *_first(ready.filter(run_after=get_date_max()), "enqueued_at"),
        *_first(ready.exclude(run_after=get_date_max()), "run_after"),
    ]
    return min(since, default=None)


def _first(rows: QuerySet[DBTaskResult], field: str) -> list[datetime]:
    return list(rows.order_by(field).values_list(field, flat=True)[:1])


def failed() -> QuerySet[DBTaskResult]:
    """Return the tasks that failed, the latest first."""
    return DBTaskResult.objects.failed().order_by("-finished_at")


def reason_of(row: DBTaskResult) -> str:
    """Return why a task failed: the last line of its traceback, without the exception's type."""
    lines = row.traceback.strip().splitlines()
    return lines[-1].partition(": ")[2] or lines[-1] if lines else ""


def about(row: DBTaskResult) -> str:
    """Return what a task works on: an email's recipients; otherwise its arguments."""
    arguments = row.args_kwargs["kwargs"]
    mail = Mail.objects.filter(pk=arguments["mail_id"]).first() if "mail_id" in arguments else None
    if mail is not None and mail.content:
        try:
            return ", ".join(unpacked(mail.content).recipients())
        except UnreadableError:
            return str(mail.pk)
    return ", ".join(str(value) for value in arguments.values())


def retry(key: str) -> bool:
    """Let a failed task run again; return False if it has not failed, or no longer."""
    rows = DBTaskResult.objects.filter(pk=key, status=TaskResultStatus.FAILED)
    # Without the workers of earlier tries, which count as deaths if they died.
    fresh = {"worker_ids": [], "run_after": get_date_max(), "enqueued_at": timezone.now()}
    again = {"status": TaskResultStatus.READY, "started_at": None, "finished_at": None}
    return bool(rows.update(exception_class_path="", traceback="", **fresh, **again))
