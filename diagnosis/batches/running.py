"""Where the files of batches are read: in workers, or in a thread of the web process.

What waits is in the rows of the files. A task or a thread that is lost is started again when
somebody looks at the batch, and by `manage.py recover_tasks`.
"""

import datetime
import logging
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.batches import reading
from diagnosis.models import BatchItem, ItemState
from xraysite.common.background import tasks
from xraysite.common.background.tasks import TryAgainError, background_task, enqueue

logger = logging.getLogger(__name__)

# The first files of every batch come before the later ones of a large batch.
STEP = 10
LOWEST = -100
# Without a change for so long, a file that waits has probably lost its task.
LOST_AFTER = datetime.timedelta(minutes=10)


@background_task(_("Read an X-ray of a batch"), queue=tasks.READINGS)
def read_film(context: Any, *, item_id: str) -> str:
    """Read a file of a batch. May run twice: its reading has the file's id."""
    after = reading.read_item(item_id=item_id, worker=str(context.task_result.id))
    if after is not None:
        raise TryAgainError("It cannot be read for now.", after=after)
    return "Done."


def start(items: Iterable[BatchItem]) -> None:
    """Let files be read once the current transaction is committed."""
    if tasks.has_workers():
        for item in items:
            priority = max(LOWEST, tasks.LATER - item.position // STEP)
            enqueue(read_film, item_id=item.pk, priority=priority)
    elif settings.BATCH_THREAD:
        transaction.on_commit(_thread.start, robust=True)


def revive() -> int:
    """Start again what was lost with a killed process; return how many files were set back."""
    now = timezone.now()
    dead = BatchItem.objects.filter(state=ItemState.READING, claimed_at__lt=now - reading.ABANDONED)
    # Asked first: on SQLite, an update excludes all others even if it changes nothing.
    set_back = dead.update(state=ItemState.WAITING, changed_at=now) if dead.exists() else 0
    waiting = BatchItem.objects.filter(state=ItemState.WAITING)
    if not tasks.has_workers():
        if settings.BATCH_THREAD and waiting.exists():
            _thread.start()
        return set_back
    lost = waiting.filter(changed_at__lt=now - LOST_AFTER)
    if tasks.has_database_queue() and not tasks.is_queued(read_film) and lost.exists():
        start(lost.only("pk", "position"))
    return set_back


def read_waiting(worker: str) -> int:
    """Read every file that waits, whatever batch it is of; return how many were tried."""
    tried = 0
    while (item_id := _next()) is not None:
        reading.read_item(item_id=item_id, worker=worker)
        tried += 1
    return tried


def _next() -> Any:
    """Return the key of the file to be read next: in turn of the batches."""
    now = timezone.now()
    is_due = Q(due_at__isnull=True) | Q(due_at__lte=now)
    waiting = BatchItem.objects.filter(is_due, state=ItemState.WAITING)
    return waiting.order_by("position", "created_at").values_list("pk", flat=True).first()


class _Thread:
    """At most one thread of this process that reads batches, while there is something to read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_wanted = False

    def start(self) -> None:
        with self._lock:
            self._is_wanted = True
            # After a fork, the thread belongs to the parent and is not alive here.
            if self._thread is None or not self._thread.is_alive():
                work = partial(self._work, f"thread-{timezone.now():%H%M%S%f}")
                self._thread = threading.Thread(target=work, name="batches", daemon=True)
                self._thread.start()

    def _work(self, worker: str) -> None:
        try:
            while self._has_work():
                read_waiting(worker)
        except DatabaseError:
            logger.exception("Reading batches stopped; it goes on when somebody looks at one.")
        finally:
            connection.close()

    def _has_work(self) -> bool:
        with self._lock:
            if not self._is_wanted:
                self._thread = None
                return False
            self._is_wanted = False
            return True


_thread = _Thread()
