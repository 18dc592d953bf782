"""What supervisors do about deliveries and targets; each change is audited."""

import uuid
from collections.abc import Collection

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.audit import recording
from accounts.models import User
from diagnosis.models import Reading
from exchange.outgoing import reasons, running, transport
from exchange.outgoing.models import Delivery, Target

State = Delivery.State
MAX_AT_ONCE = 1000


def may_handle(user: User) -> bool:
    """Return whether `user` may see and handle what is sent to other systems."""
    return user.has_perm("diagnosis.oversee_reading")


@transaction.atomic
def retry(*, supervisor: User, delivery_ids: Collection[uuid.UUID]) -> int:
    """Send results now: those that wait, failed, were cancelled, or were sent before.

    Returns:
        How many were queued.

    Raises:
        PermissionDenied: the account may not oversee readings.
    """
    chosen = _chosen(supervisor, delivery_ids).exclude(state=State.SENDING)
    for delivery in chosen:
        if delivery.state == State.WAITING:
            running.hurry(delivery)
        else:
            running.enqueue(delivery.reading_id, delivery.target)
        _record(delivery, "result-retried", [delivery.state, State.WAITING])
    return len(chosen)


@transaction.atomic
def cancel(*, supervisor: User, delivery_ids: Collection[uuid.UUID]) -> int:
    """Send results no more that wait or failed; return how many those were.

    Raises:
        PermissionDenied: the account may not oversee readings.
    """
    chosen = _chosen(supervisor, delivery_ids).filter(state__in=[State.WAITING, State.FAILED])
    for delivery in chosen:
        Delivery.objects.filter(pk=delivery.pk).update(
            state=State.CANCELLED,
            finished_at=timezone.now(),
            error=reasons.stored(reasons.CANCELLED, who=supervisor.display_name),
        )
        _record(delivery, "result-cancelled", [delivery.state, State.CANCELLED])
    return len(chosen)


@transaction.atomic
def settle(*, supervisor: User, delivery_ids: Collection[uuid.UUID]) -> int:
    """Note that the objects which a target should no longer have are dealt with there.

    Raises:
        PermissionDenied: the account may not oversee readings.
    """
    chosen = _chosen(supervisor, delivery_ids).exclude(note="")
    for delivery in chosen:
        Delivery.objects.filter(pk=delivery.pk).update(note="")
        _record(delivery, "result-settled", [delivery.note, ""])
    return len(chosen)


def try_out(*, supervisor: User, target: Target) -> str:
    """Test the connection to a target; return what it said.

    Raises:
        PermissionDenied: the account may not oversee readings.
        transport.TransportError: it cannot be reached, or refuses.
    """
    if not may_handle(supervisor):
        raise PermissionDenied
    recording.record_event(
        Target, what="target-tried", about=target.name, detail={}, key=str(target.pk)
    )
    return transport.try_out(target)


def _chosen(supervisor: User, delivery_ids: Collection[uuid.UUID]) -> QuerySet[Delivery]:
    if not may_handle(supervisor):
        raise PermissionDenied
    rows = Delivery.objects.filter(pk__in=list(delivery_ids)[:MAX_AT_ONCE])
    return rows.select_for_update(of=("self",)).select_related("target").order_by("pk")


def _record(delivery: Delivery, what: str, change: list[str]) -> None:
    reading = Reading.objects.defer("activation_map").get(pk=delivery.reading_id)
    changes = {f"result to {delivery.target.name}": [str(each) for each in change]}
    recording.record_change(reading, what=what, changes=changes)
