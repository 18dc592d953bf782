"""Sending a delivery.

A delivery is claimed in the database before anything is sent, and finished afterwards. Each object
that the target has accepted is stored and audited at once. If the process dies in between, the
same objects are sent again with the same UIDs, which a target recognises: at least once.
"""

import logging
import uuid
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from accounts.audit.recording import record_access
from diagnosis.models import Reading, Review
from diagnosis.services.films import FilmMissingError
from exchange.outgoing import reasons
from exchange.outgoing.models import Delivery
from exchange.outgoing.objects import building
from exchange.outgoing.objects.building import Made
from exchange.outgoing.reasons import ReasonError
from exchange.outgoing.rules import obstacle
from exchange.outgoing.transport import Answer, BusyError, RefusedError, open_transport
from xraysite.common.decoders.errors import DecoderUnavailableError

logger = logging.getLogger(__name__)

State = Delivery.State
# After this time, another process may take over a delivery whose process has vanished.
ABANDONED = timedelta(minutes=10)
# Times to wait after each try: about four days in all, so that a weekend passes.
DELAYS = [timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360)]
DELAYS += [timedelta(hours=12)] * 7


class LaterError(ReasonError):
    """Raised if the target may take the result later.

    Attributes:
        after: the time to wait.
    """

    def __init__(self, reason: ReasonError, *, after: timedelta) -> None:
        super().__init__(reason.sentence, **reason.detail)
        self.after = after


class GivenUpError(ReasonError):
    """Raised if a result will not be sent without a person."""


class NewerError(ReasonError):
    """Raised if the target has an earlier version; another delivery has to send the current one.

    Attributes:
        delivery: the delivery of the earlier version.
    """

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(reasons.NEWER)
        self.delivery = delivery


class _ObstacleError(ReasonError):
    """Raised if a result is not to be sent after all; the message says why."""


def send(delivery_id: uuid.UUID, *, by: str) -> str:
    """Send the current version of a result, unless it was sent or another process is sending it.

    Args:
        by: the task or thread that sends.

    Returns:
        What became of it, for the queue.

    Raises:
        LaterError: the target could not be reached or was busy.
        GivenUpError: the target refused an object, or an object cannot be made.
        NewerError: an earlier version was sent in part.
    """
    delivery = Delivery.objects.select_related("target").filter(pk=delivery_id).first()
    if delivery is None or not _claim(delivery, by):
        return "Nothing to do: it was sent, is being sent, or is not due yet."
    reading = (
        Reading.objects.filter(pk=delivery.reading_id)
        .select_related("doctor", "model_version")
        .first()
    )
    if reading is None:
        return "The reading no longer exists."
    try:
        _check(delivery, reading)
        _send_objects(delivery, reading)
    except BusyError as error:
        raise _later(delivery, error) from error
    except RefusedError as error:
        raise _given_up(delivery, error) from error
    except NewerError as error:
        _finish(delivery, State.CANCELLED, error=error.stored)
        raise
    except _ObstacleError as error:
        _finish(delivery, State.CANCELLED, error=error.stored)
        return f"Not sent: {error}"
    _finish(delivery, State.SENT, error="")
    return "Sent."


def _claim(delivery: Delivery, by: str) -> bool:
    """Reserve the delivery, or return False; one that `by` claimed before is taken up again."""
    now = timezone.now()
    if delivery.state == State.SENDING:
        is_old = delivery.claimed_at is None or delivery.claimed_at <= now - ABANDONED
        if delivery.claimed_by != by and not is_old:
            return False
    elif delivery.state == State.FAILED:
        # Its task is run again because a supervisor asked for it in the list of failed tasks.
        if delivery.claimed_by != by:
            return False
    elif delivery.state != State.WAITING or delivery.due_at > now:
        return False
    unchanged = Delivery.objects.filter(
        pk=delivery.pk, state=delivery.state, attempts=delivery.attempts
    )
    claimed = unchanged.update(
        state=State.SENDING, claimed_by=by, claimed_at=now, attempts=F("attempts") + 1
    )
    delivery.refresh_from_db()
    return bool(claimed)


def _check(delivery: Delivery, reading: Reading) -> None:
    if not delivery.target.is_enabled:
        raise _ObstacleError(reasons.SWITCHED_OFF)
    is_signed = Review.objects.filter(reading=reading, signed_at__isnull=False).exists()
    why = obstacle(reading, delivery.target, is_signed=is_signed)
    if why:
        raise _ObstacleError(why)


def _send_objects(delivery: Delivery, reading: Reading) -> None:
    objects = _objects(delivery, reading)
    refused = []
    with open_transport(delivery.target, objects) as transport:
        for made in objects:
            if Reading.objects.filter(pk=reading.pk, hidden_at__isnull=False).exists():
                raise _ObstacleError(reasons.DELETED)
            answer = transport.send(made)
            if answer.is_accepted:
                _record(delivery, reading, made, answer)
            else:
                refused.append(f"{made.kind.upper()} ({answer.words})")
    if refused:
        raise RefusedError(reasons.REFUSED, objects="; ".join(refused))


def _objects(delivery: Delivery, reading: Reading) -> list[Made]:
    """Return what the target does not have yet of the current version.

    Raises:
        BusyError: this site cannot make the objects now.
        RefusedError: the objects cannot be made.
        NewerError: the target has objects of another version by this delivery.
    """
    try:
        context = building.current(reading)
        if delivery.sent and delivery.version != context.version:
            raise NewerError(delivery)
        delivery.version = context.version
        Delivery.objects.filter(pk=delivery.pk).update(version=context.version)
        kinds = building.kinds_of(context, delivery.target.kinds)
        return [building.made(context, kind) for kind in kinds if kind not in delivery.sent]
    except FilmMissingError as error:
        raise RefusedError(reasons.FILM_MISSING) from error
    except DecoderUnavailableError as error:
        raise BusyError(reasons.NOT_DECODED) from error
    except (NewerError, DatabaseError):
        raise
    except Exception as error:
        # Whatever a library finds wrong with a file: other results must still be sent.
        logger.exception("The objects of reading %s cannot be made.", reading.pk)
        raise RefusedError(reasons.NOT_MADE, error=type(error).__name__) from error


@transaction.atomic
def _record(delivery: Delivery, reading: Reading, made: Made, answer: Answer) -> None:
    """Store and audit that an object has left."""
    entry: dict[str, Any] = {"uid": made.uid, "sha256": made.sha256}
    delivery.sent[str(made.kind)] = entry | {"at": timezone.now().isoformat()}
    Delivery.objects.filter(pk=delivery.pk).update(sent=delivery.sent, claimed_at=timezone.now())
    detail = entry | {
        "to": delivery.target.name, "object": str(made.kind), "delivery": str(delivery.pk),
    }  # fmt: skip
    if answer.words:
        detail["answer"] = answer.words
    record_access(reading, what="result-sent", detail=detail)


def _later(delivery: Delivery, why: ReasonError) -> ReasonError:
    """Let the delivery wait for its next try; after the last one, give it up."""
    if delivery.attempts > len(DELAYS):
        return _given_up(delivery, why)
    after = DELAYS[delivery.attempts - 1]
    changed = {"state": State.WAITING, "due_at": timezone.now() + after, "error": why.stored}
    with transaction.atomic():
        newer = Delivery.objects.filter(
            reading=delivery.reading_id, target=delivery.target_id, state=State.WAITING
        )
        if newer.exists():
            # It has the same objects to send, or newer ones.
            changed |= {"state": State.CANCELLED, "finished_at": timezone.now()}
        Delivery.objects.filter(pk=delivery.pk, state=State.SENDING).update(**changed)
    return LaterError(why, after=after)


def _given_up(delivery: Delivery, why: ReasonError) -> GivenUpError:
    _finish(delivery, State.FAILED, error=why.stored)
    return GivenUpError(why.sentence, **why.detail)


def _finish(delivery: Delivery, state: Delivery.State, **values: str) -> None:
    hidden = Reading.objects.filter(pk=delivery.reading_id, hidden_at__isnull=False)
    if delivery.sent and hidden.exists():
        # It was deleted while it was sent.
        values["note"] = Delivery.Note.DELETED
    now = timezone.now()
    Delivery.objects.filter(pk=delivery.pk).update(state=state, finished_at=now, **values)
