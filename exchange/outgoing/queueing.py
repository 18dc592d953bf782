"""What is to be sent: rows that are stored with the change of the reading that causes them."""

import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from diagnosis.models import Reading
from diagnosis.signals import Change, reading_changed
from exchange.outgoing import reasons, running
from exchange.outgoing.models import Delivery, Target
from exchange.outgoing.rules import targets_for

State, Note = Delivery.State, Delivery.Note


def connect() -> None:
    """Let changes of readings queue what follows from them."""
    reading_changed.connect(_on_change, sender=Reading, dispatch_uid="outgoing")


def _on_change(sender: Any, *, reading: Reading, what: Change, **_: Any) -> None:
    if what == Change.HIDDEN:
        withdraw(reading)
        return
    if not Target.objects.filter(is_enabled=True).exists():
        return
    if what == Change.CORRECTED:
        _note(reading, Note.CORRECTED)
    elif what == Change.RESTORED:
        _deliveries(reading).filter(note=Note.DELETED).update(note="")
    queue(reading.pk)


@transaction.atomic
def queue(reading_id: uuid.UUID) -> list[Delivery]:
    """Queue a reading's current result for the targets that it goes to.

    A target for which it waits already gets it once, in the version that is current then.

    Raises:
        Reading.DoesNotExist: the reading has been purged.
    """
    reading = Reading.objects.defer("activation_map").get(pk=reading_id)
    return [running.enqueue(reading_id, target) for target in targets_for(reading)]


def withdraw(reading: Reading) -> None:
    """Send nothing of a deleted reading any more, and say what targets already have."""
    waiting = _deliveries(reading).filter(state=State.WAITING)
    waiting.update(
        state=State.CANCELLED, finished_at=timezone.now(), error=reasons.stored(reasons.DELETED)
    )
    _note(reading, Note.DELETED)


def _note(reading: Reading, note: Delivery.Note) -> None:
    _deliveries(reading).exclude(sent={}).update(note=note)


def _deliveries(reading: Reading) -> Any:
    return Delivery.objects.filter(reading_id=reading.pk)
