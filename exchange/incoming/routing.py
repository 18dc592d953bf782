"""Deciding what becomes of an X-ray that arrived.

Every process may try: an X-ray is claimed before, and its state is changed in the transaction that
stores the doctor's copy, so a killed process loses nothing and routes nothing twice.
"""

import datetime
import logging
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils import timezone

from diagnosis import storage
from diagnosis.services.films import pixels_sha256
from diagnosis.validators import NOT_NOW, UploadedFilm, keep_inspected, validate_film_bytes
from exchange.incoming import matching
from exchange.incoming.facts import UNREAD, facts_of
from exchange.incoming.handing import Moved, NobodyError, hand_over, put
from exchange.incoming.models import Arrival, ArrivalState, RoutingRule
from mlcore.inference import FilmError, ModelUnavailable
from xraysite.common.decoders.turns import in_background
from xraysite.common.faults import fault_of

logger = logging.getLogger(__name__)

# Longer than the decoder may take.
ABANDONED = datetime.timedelta(minutes=2)
MAX_ATTEMPTS = 5
DELAYS = [datetime.timedelta(seconds=seconds) for seconds in (5, 30, 120, 600)]


class _Decided(Exception):  # noqa: N818 - the outcome, not an error
    """What becomes of the X-ray instead of going to a doctor."""

    def __init__(self, state: ArrivalState, code: str, params: Any = None, **facts: Any) -> None:
        super().__init__(code)
        self.state, self.facts = state, facts
        self.reason = {"code": code, "params": dict(params or {})}


class _NotNow(Exception):  # noqa: N818 - the outcome, not an error
    """It cannot be decided for a cause that may pass."""


def route_waiting() -> int:
    """Route every X-ray that waits, the first first; return how many were tried."""
    tried = 0
    while (pk := _next()) is not None:
        route(pk)
        tried += 1
    return tried


def _due() -> Q:
    now = timezone.now()
    is_due = Q(due_at=None) | Q(due_at__lte=now)
    is_free = Q(claimed_at=None) | Q(claimed_at__lt=now - ABANDONED)
    return is_due & is_free


def _next() -> Any:
    waiting = Arrival.objects.filter(_due(), state=ArrivalState.RECEIVED)
    return waiting.order_by("received_at", "pk").values_list("pk", flat=True).first()


def route(pk: Any) -> None:
    """Decide about an X-ray, unless that was done or is being done."""
    claimed = Arrival.objects.filter(_due(), pk=pk, state=ArrivalState.RECEIVED).update(
        claimed_at=timezone.now(), attempts=F("attempts") + 1
    )
    if not claimed:
        return
    arrival = Arrival.objects.get(pk=pk)
    try:
        with in_background():
            _route(arrival)
    except _Decided as decided:
        put(arrival, decided.state, decided.reason, **decided.facts)
    except Moved:
        logger.info("An X-ray that was being routed was decided about meanwhile.")
    except _NotNow:
        _later(arrival)
    except OSError as error:
        if (fault := fault_of(error)) is None:
            logger.exception("An X-ray from a machine could not be routed.")
        else:
            logger.error("%s: an X-ray from a machine cannot be routed: %s", fault.code, error)
        _later(arrival)
    except Exception:
        logger.exception("An X-ray from a machine could not be routed.")
        _later(arrival)


def _later(arrival: Arrival) -> None:
    if arrival.attempts >= MAX_ATTEMPTS:
        put(arrival, ArrivalState.WAITING, {"code": "stopped", "params": {}})
        return
    after = DELAYS[min(arrival.attempts, len(DELAYS)) - 1]
    Arrival.objects.filter(pk=arrival.pk, state=ArrivalState.RECEIVED).update(
        claimed_at=None, due_at=timezone.now() + after
    )


def _route(arrival: Arrival) -> None:
    upload = _decoded(arrival)
    _note(arrival, upload)
    _check_instance(arrival, upload)
    rule = matching.first_match(matching.active_rules(), arrival.calling_ae, arrival.stated)
    if rule is None:
        if unread := arrival.stated.get(UNREAD):
            raise _Decided(ArrivalState.KEPT_OUT, "unread", {"reasons": unread})
        raise _Decided(ArrivalState.WAITING, "no_rule")
    if rule.action == RoutingRule.Action.KEEP_OUT:
        raise _Decided(ArrivalState.KEPT_OUT, "rule", {"reason": rule.reason}, rule=rule)
    keep_inspected(upload.film)  # it is read next, often by this very process
    try:
        hand_over(
            arrival=arrival,
            states=[ArrivalState.RECEIVED],
            doctor=rule.doctor,
            team=rule.team,
            rule=rule,
            data=upload.data,
        )
    except NobodyError as error:
        raise _Decided(ArrivalState.WAITING, error.code, {"rule": rule.name}, rule=rule) from error


def _decoded(arrival: Arrival) -> UploadedFilm:
    data = storage.read(arrival.storage_name)
    if data is None:
        raise _Decided(ArrivalState.WAITING, "lost", is_stored=False)
    try:
        return validate_film_bytes(data, f"{arrival.sop_instance_uid}.dcm")
    except ValidationError as error:
        if error.code in NOT_NOW:
            raise _NotNow from error
        cause = error.__cause__
        detail = cause.detail if isinstance(cause, FilmError) else {}
        raise _Decided(ArrivalState.KEPT_OUT, str(error.code), detail) from error


def _note(arrival: Arrival, upload: UploadedFilm) -> None:
    """Keep what the file states."""
    header = upload.film.header
    try:
        arrival.stated = facts_of(upload.film)
    except ModelUnavailable as error:
        raise _NotNow from error
    arrival.pixels_sha256 = pixels_sha256(upload.film)
    arrival.study_uid = (header.study_instance_uid if header else None) or ""
    arrival.save(update_fields=["stated", "pixels_sha256", "study_uid"])


def _check_instance(arrival: Arrival, upload: UploadedFilm) -> None:
    """Check that the UID is the file's, and that no other X-ray has it."""
    header = upload.film.header
    if header is None or header.sop_instance_uid != arrival.sop_instance_uid:
        raise _Decided(ArrivalState.WAITING, "uid_differs")
    same = Arrival.objects.filter(sop_instance_uid=arrival.sop_instance_uid).exclude(pk=arrival.pk)
    first = same.filter(
        Q(received_at__lt=arrival.received_at)
        | Q(received_at=arrival.received_at, pk__lt=arrival.pk)
    )
    for other in first.order_by("received_at", "pk"):
        params = {"arrival": str(other.pk)}
        if other.pixels_sha256 == arrival.pixels_sha256 and _is_same_patient(other, arrival):
            raise _Decided(ArrivalState.KEPT_OUT, "repeat", params)
        raise _Decided(ArrivalState.WAITING, "same_uid", params)


def _is_same_patient(one: Arrival, other: Arrival) -> bool:
    """Return whether two X-rays state the same; what a reading has is compared there."""
    if one.state == ArrivalState.READ and one.reading is not None:
        stated = one.reading.film_patient or {}
        return all(other.stated.get(key) == value for key, value in stated.items())
    return bool(one.stated == other.stated)
