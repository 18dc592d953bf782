"""Where results are sent: in workers, or in a thread of the web process.

What waits is in the rows of the deliveries. A task or a thread that is lost is started again by the
workers' heartbeat, by whatever is queued next, and by `manage.py recover_tasks`.
"""

import logging
import threading
import uuid
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_tasks_db.models import DBTaskResult

from exchange.outgoing import sending
from exchange.outgoing.models import Delivery, Target
from xraysite.common.background import tasks
from xraysite.common.background.tasks import TaskFailedError, TryAgainError, background_task

logger = logging.getLogger(__name__)

State = Delivery.State
# How long the thread waits for a delivery that is due later, before it looks again.
LONGEST_WAIT = 60


@background_task(_("Send a result to another system"))
def send_result(context: Any, *, delivery_id: str) -> str:
    """Send a delivery. May run twice: the target then gets the same objects again."""
    try:
        return _send(uuid.UUID(delivery_id), by=str(context.task_result.id))
    except sending.LaterError as error:
        raise TryAgainError(str(error), after=error.after) from error
    except sending.GivenUpError as error:
        raise TaskFailedError(str(error)) from error


def enqueue(reading_id: uuid.UUID, target: Target) -> Delivery:
    """Queue a reading's result for one target."""
    delivery, is_new = Delivery.objects.get_or_create(
        reading_id=reading_id,
        target=target,
        state=State.WAITING,
        defaults={"due_at": timezone.now()},
    )
    if is_new:
        _start(delivery.pk)
    elif delivery.attempts:
        hurry(delivery)
    return delivery


def hurry(delivery: Delivery) -> None:
    """Try a waiting delivery at once, because it has something new to send or somebody asks."""
    delivery.due_at = timezone.now()
    Delivery.objects.filter(pk=delivery.pk).update(due_at=delivery.due_at)
    _start(delivery.pk)


def _start(delivery_id: uuid.UUID) -> None:
    """Let a delivery be sent once the current transaction is committed."""
    if tasks.has_workers():
        tasks.enqueue(send_result, delivery_id=delivery_id)
    elif settings.OUTGOING_THREAD:
        transaction.on_commit(_thread.start, robust=True)


def recover() -> int:
    """Start again what was lost with a killed process; return how many deliveries that were."""
    if not tasks.has_workers():
        # Not in a thread: this may be a command that ends at once.
        return send_due("recovery")
    now = timezone.now()
    lost = Delivery.objects.filter(
        Q(state=State.WAITING, due_at__lt=now - sending.ABANDONED)
        | Q(state=State.SENDING, claimed_at__lt=now - sending.ABANDONED)
    )
    keys = set(lost.values_list("pk", flat=True)[:1000])
    if keys:
        keys -= _in_database_queue()
    for key in keys:
        with transaction.atomic():
            # The next call leaves it alone for a while.
            Delivery.objects.filter(pk=key).update(due_at=now, claimed_at=now)
            tasks.enqueue(send_result, delivery_id=key)
    return len(keys)


def _in_database_queue() -> set[uuid.UUID]:
    if not tasks.has_database_queue():
        return set()
    unfinished = DBTaskResult.objects.filter(
        task_path=send_result.module_path, status__in=["READY", "RUNNING"]
    )
    arguments = unfinished.values_list("args_kwargs", flat=True)
    return {uuid.UUID(each["kwargs"]["delivery_id"]) for each in arguments}


def _send(delivery_id: uuid.UUID, *, by: str) -> str:
    try:
        return sending.send(delivery_id, by=by)
    except sending.NewerError as error:
        enqueue(error.delivery.reading_id, error.delivery.target)
        return f"Not sent: {error}"


def send_due(by: str) -> int:
    """Send everything that is due, one after the other; return how many were tried."""
    tried: set[uuid.UUID] = set()
    while (key := _next(tried)) is not None:
        tried.add(key)
        try:
            _send(key, by=by)
        except (sending.LaterError, sending.GivenUpError) as error:
            logger.warning("Delivery %s was not sent: %s", key, error)
    return len(tried)


def _next(tried: set[uuid.UUID]) -> uuid.UUID | None:
    now = timezone.now()
    due = Delivery.objects.filter(
        Q(state=State.WAITING, due_at__lte=now)
        | Q(state=State.SENDING, claimed_at__lt=now - sending.ABANDONED)
    )
    return due.exclude(pk__in=tried).order_by("due_at").values_list("pk", flat=True).first()


class _Thread:
    """At most one thread of this process that sends, while something waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def start(self) -> None:
        with self._lock:
            self._wake.set()
            # After a fork, the thread belongs to the parent and is not alive here.
            if self._thread is None or not self._thread.is_alive():
                work = partial(self._work, f"thread-{uuid.uuid4().hex[:12]}")
                self._thread = threading.Thread(target=work, name="outgoing", daemon=True)
                self._thread.start()

    def _work(self, by: str) -> None:
        try:
            while self._goes_on():
                send_due(by)
                self._wake.wait(LONGEST_WAIT)
        except DatabaseError:
            logger.exception("Sending results stopped; it goes on when the next one is queued.")
        finally:
            connection.close()

    def _goes_on(self) -> bool:
        with self._lock:
            is_wanted = self._wake.is_set()
            self._wake.clear()
            if is_wanted or self._has_work():
                return True
            self._thread = None
            return False

    def _has_work(self) -> bool:
        return Delivery.objects.filter(state__in=[State.WAITING, State.SENDING]).exists()


_thread = _Thread()
