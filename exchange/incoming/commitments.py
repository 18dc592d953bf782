"""Storage commitment (PS3.4, annex J): telling a machine which X-rays are safe here.

An X-ray is safe from the moment at which it was stored: while it waits, its file is never deleted;
once it was read, the reading has it. What is kept out is not safe, because it is deleted later.
"""

import datetime
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from accounts.audit import recording
from exchange.incoming.models import Arrival, ArrivalState, Commitment

logger = logging.getLogger(__name__)

MAX_REFERENCES = 2000
MAX_ATTEMPTS = 8
DELAYS = [datetime.timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600)]
KEPT = datetime.timedelta(days=7)
# Failure reasons of PS3.3, C.14.1.1.
PROCESSING_FAILURE, NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119

Reference = tuple[str, str]


@dataclass(frozen=True)
class Result:
    """What a machine is told: references that are safe, and the others with a failure reason."""

    safe: list[Reference]
    failed: list[tuple[Reference, int]]


def ask(*, calling_ae: str, transaction_uid: str, references: Iterable[Reference]) -> Commitment:
    """Keep a request until its result has been delivered. Asked again, it is answered again."""
    asked = [list(reference) for reference in references]
    commitment, _is_new = Commitment.objects.update_or_create(
        calling_ae=calling_ae,
        transaction_uid=transaction_uid,
        defaults={
            "references": asked, "attempts": 0, "sent_at": None, "due_at": timezone.now(),
        },
    )  # fmt: skip
    return commitment


@transaction.atomic
def result_of(commitment: Commitment) -> Result:
    """Return what the machine is told, and mark the X-rays that it may delete now."""
    safe, failed = [], []
    for sop_class, instance in commitment.references:
        arrivals = Arrival.objects.select_for_update().filter(sop_instance_uid=instance)
        reason = _mark(list(arrivals), sop_class)
        if reason:
            failed.append(((sop_class, instance), reason))
        else:
            safe.append((sop_class, instance))
    changes = {"safe": [None, str(len(safe))], "failed": [None, str(len(failed))]}
    recording.record_change(commitment, what="dicom-committed", changes=changes)
    return Result(safe, failed)


def _mark(arrivals: list[Arrival], sop_class: str) -> int:
    """Mark an X-ray as confirmed; return the failure reason, 0 if it is safe."""
    if not arrivals:
        return NO_SUCH_OBJECT
    if all(arrival.sop_class_uid != sop_class for arrival in arrivals):
        return CLASS_CONFLICT
    safe = [arrival.pk for arrival in arrivals if _is_safe(arrival)]
    if len(safe) < len(arrivals):
        return PROCESSING_FAILURE
    Arrival.objects.filter(pk__in=safe).update(committed_at=timezone.now())
    return 0


def _is_safe(arrival: Arrival) -> bool:
    if arrival.state == ArrivalState.READ:
        return True
    return arrival.is_stored and arrival.state != ArrivalState.KEPT_OUT


def due() -> list[Commitment]:
    """Return the requests whose result is to be sent now."""
    waiting = Commitment.objects.filter(
        sent_at=None, due_at__lte=timezone.now(), attempts__lt=MAX_ATTEMPTS
    )
    return list(waiting.order_by("due_at")[:50])


def deliver(commitment: Commitment, send: Callable[[Commitment, Result], bool]) -> bool:
    """Send the result of a request; if that fails, it is due again later.

    Args:
        commitment: the request.
        send: sends the result and returns whether the machine has confirmed it.
    """
    result = result_of(commitment)
    try:
        is_sent = send(commitment, result)
    except Exception:
        logger.exception("A storage commitment could not be sent to %s.", commitment.calling_ae)
        is_sent = False
    now = timezone.now()
    row = Commitment.objects.filter(pk=commitment.pk)
    if is_sent:
        row.update(sent_at=now)
    else:
        after = DELAYS[min(commitment.attempts, len(DELAYS) - 1)]
        row.update(attempts=commitment.attempts + 1, due_at=now + after)
    return is_sent


def forget_old() -> int:
    """Delete requests that were answered or given up a week ago."""
    number, _rows = Commitment.objects.filter(asked_at__lt=timezone.now() - KEPT).delete()
    return number
