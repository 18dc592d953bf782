"""What is to be sent: stored with the change of the reading that causes it, sent after it."""

import logging
import threading
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Reading
from diagnosis.signals import Change, reading_changed
from exchange.fhir.models import FhirDelivery, FhirServer
from xraysite.common.background import tasks
from xraysite.common.background.tasks import TaskFailedError, TryAgainError, background_task

logger = logging.getLogger(__name__)
State = FhirDelivery.State
# How long the thread waits for a delivery that is due later, before it looks again.
LONGEST_WAIT = 60
# After this time, a delivery whose task has vanished gets another.
ABANDONED = timedelta(minutes=10)


def connect() -> None:
    """Let changes of readings queue what follows from them."""
    reading_changed.connect(_on_change, sender=Reading, dispatch_uid="fhir")


def _on_change(sender: Any, *, reading: Reading, what: Change, **_: Any) -> None:
    queue(reading.pk, is_deleted=what == Change.HIDDEN)


def queue(reading_id: uuid.UUID, *, is_deleted: bool = False) -> None:
    """Queue a reading for every enabled server; `sending` decides what goes there.

    Of a deleted reading, only servers that have it are told.
    """
    servers = list(FhirServer.objects.filter(is_enabled=True))
    now = timezone.now()
    for server in servers:
        rows = FhirDelivery.objects.filter(reading_id=reading_id, server=server)
        if not is_deleted:
            FhirDelivery.objects.get_or_create(reading_id=reading_id, server=server)
        rows.update(state=State.WAITING, changed_at=now, due_at=now, attempts=0)
        for key in rows.values_list("pk", flat=True):
            start(key)


@background_task(_("Send a result to a FHIR server"))
def send_bundle(context: Any, *, delivery_id: str) -> str:
    """Send a delivery. May run twice: the server then gets the same resources again."""
    from exchange.fhir import sending

    try:
        return sending.send(uuid.UUID(delivery_id))
    except sending.LaterError as error:
        raise TryAgainError(str(error), after=error.after) from error
    except sending.RefusedError as error:
        raise TaskFailedError(str(error)) from error


def start(delivery_id: uuid.UUID) -> None:
    """Let a delivery be sent once the current transaction is committed."""
    if tasks.has_workers():
        tasks.enqueue(send_bundle, delivery_id=delivery_id)
    elif settings.FHIR_THREAD:
        transaction.on_commit(_start_thread, robust=True)


def recover() -> int:
    """Start again what was lost with a killed process; return how many deliveries that were."""
    if not tasks.has_workers():
        # Not in a thread: this may be a command that ends at once.
        return send_due()
    now = timezone.now()
    lost = FhirDelivery.objects.filter(state=State.WAITING, due_at__lt=now - ABANDONED)
    keys = list(lost.values_list("pk", flat=True)[:1000])
    for key in keys:
        with transaction.atomic():
            # The next call leaves it alone for a while.
            FhirDelivery.objects.filter(pk=key).update(due_at=now)
            tasks.enqueue(send_bundle, delivery_id=key)
    return len(keys)


def send_due() -> int:
    """Send everything that is due, one after the other; return how many were tried."""
    from exchange.fhir import sending

    tried: set[uuid.UUID] = set()
    while True:
        due = FhirDelivery.objects.filter(state=State.WAITING, due_at__lte=timezone.now())
        key = due.exclude(pk__in=tried).order_by("due_at").values_list("pk", flat=True).first()
        if key is None:
            return len(tried)
        tried.add(key)
        try:
            sending.send(key)
        except (sending.LaterError, sending.RefusedError) as error:
            logger.warning("FHIR delivery %s was not sent: %s", key, error)


_lock = threading.Lock()
_wake = threading.Event()
_thread: threading.Thread | None = None


def _start_thread() -> None:
    """Keep at most one thread of this process that sends, while something waits."""
    global _thread
    with _lock:
        _wake.set()
        # After a fork, the thread belongs to the parent and is not alive here.
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_work, name="fhir", daemon=True)
            _thread.start()


def _work() -> None:
    try:
        while _goes_on():
            send_due()
            _wake.wait(LONGEST_WAIT)
    except DatabaseError:
        logger.exception("Sending to FHIR servers stopped; it goes on when the next is queued.")
    finally:
        connection.close()


def _goes_on() -> bool:
    global _thread
    with _lock:
        is_wanted = _wake.is_set()
        _wake.clear()
        if is_wanted or FhirDelivery.objects.filter(state=State.WAITING).exists():
            return True
        _thread = None
        return False
