"""Handing X-rays to doctors, keeping them out, and taking back what a doctor does not read."""

import datetime
import logging
import uuid
from collections.abc import Collection, Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.audit import recording
from accounts.models import User
from diagnosis import storage
from diagnosis.batches import ending, receiving
from diagnosis.film_storage import StoredFile
from diagnosis.models import ItemState, Team
from diagnosis.services.quotas import QuotaError
from exchange.incoming.models import Arrival, ArrivalState, RoutingRule
from exchange.incoming.models.arrival import FOLDER
from exchange.readers import owner_of

logger = logging.getLogger(__name__)

UNDECIDED = (ArrivalState.WAITING, ArrivalState.KEPT_OUT)
# A file is stored before its row.
ORPHAN_AGE = datetime.timedelta(hours=1)


class Moved(Exception):  # noqa: N818 - not an error of anybody
    """Raised when somebody else has decided about the X-ray meanwhile."""


class NobodyError(Exception):
    """Raised when nobody can be given the X-ray.

    Attributes:
        code: "doctor" (the account may not read, or is no member of the team), "quota" or "lost".
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def hand_over(
    *,
    arrival: Arrival,
    states: Collection[str],
    doctor: User | None,
    team: Team | None,
    rule: RoutingRule | None = None,
    data: bytes | None = None,
) -> Arrival:
    """Let a doctor read an X-ray: as a file of a batch, by the rules of batches.

    Args:
        arrival: the X-ray.
        states: those that it may have.
        doctor: whose reading it becomes; if None, the lead of the team or its first member.
        team: which team shares the reading.
        rule: the rule that decided.
        data: the file, if it has been read from storage before.

    Raises:
        Moved: the X-ray is in another state.
        NobodyError: nobody can be given it.
        OSError: the doctor's copy cannot be stored.
    """
    owner = owner_of(doctor, team)
    if owner is None:
        raise NobodyError("doctor")
    content = storage.read(arrival.storage_name) if data is None else data
    if content is None:
        raise NobodyError("lost")

    def then(item: Any) -> None:
        changes = {"item": item, "doctor": owner, "team": team, "rule": rule}
        _change(arrival, states, ArrivalState.ROUTED, {}, "dicom-routed", changes)

    try:
        receiving.add_machine_film(
            doctor=owner,
            team=team,
            path=f"{arrival.calling_ae}/{arrival.sop_instance_uid}.dcm",
            data=content,
            then=then,
        )
    except QuotaError as error:
        raise NobodyError("quota") from error
    except PermissionDenied as error:
        raise NobodyError("doctor") from error
    return arrival


def assign(
    *, supervisor: User, arrival_id: uuid.UUID, doctor: User | None, team: Team | None
) -> Arrival:
    """Let a doctor read an X-ray that waits for a supervisor or was kept out.

    Raises:
        PermissionDenied: the account may not oversee readings.
        Arrival.DoesNotExist: there is no such X-ray.
        Moved, NobodyError, OSError: as `hand_over`.
    """
    _require_supervisor(supervisor)
    arrival = Arrival.objects.visible_to(supervisor).get(pk=arrival_id)
    return hand_over(arrival=arrival, states=UNDECIDED, doctor=doctor, team=team)


def keep_out(*, supervisor: User, arrival_id: uuid.UUID, reason: str) -> Arrival:
    """Keep out an X-ray that waits for a supervisor.

    Raises:
        PermissionDenied: the account may not oversee readings.
        Arrival.DoesNotExist: there is no such X-ray.
        Moved: somebody else has decided about it.
    """
    _require_supervisor(supervisor)
    arrival = Arrival.objects.visible_to(supervisor).get(pk=arrival_id)
    told = {"code": "supervisor", "params": {"reason": reason}}
    put(arrival, ArrivalState.KEPT_OUT, told, states=[ArrivalState.WAITING])
    return arrival


def _require_supervisor(user: User) -> None:
    if not user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied


def put(
    arrival: Arrival,
    state: ArrivalState,
    reason: dict[str, Any],
    *,
    states: Collection[str] = (ArrivalState.RECEIVED,),
    **changes: Any,
) -> None:
    """Move an X-ray to the supervisors' inbox, or keep it out.

    Args:
        arrival: the X-ray.
        state: WAITING or KEPT_OUT.
        reason: as `Arrival.reason`.
        states: those that it may have.
        changes: further fields.

    Raises:
        Moved: it is in another state.
    """
    what = "dicom-waits" if state == ArrivalState.WAITING else "dicom-kept-out"
    _change(arrival, states, state, reason, what, changes)


@transaction.atomic
def _change(
    arrival: Arrival,
    states: Collection[str],
    state: ArrivalState,
    reason: dict[str, Any],
    what: str,
    changes: dict[str, Any],
) -> None:
    fresh = Arrival.objects.select_for_update().get(pk=arrival.pk)
    if fresh.state not in states:
        raise Moved
    before = fresh.state
    fresh.state, fresh.reason = state, reason
    fresh.claimed_at, fresh.due_at, fresh.changed_at = None, None, timezone.now()
    for field, value in changes.items():
        setattr(fresh, field, value)
    fresh.save()
    facts: dict[str, list[Any]] = {"state": [before, state]}
    if reason:
        facts["reason"] = [None, reason["code"]]
    if state == ArrivalState.ROUTED:
        facts |= {"doctor": [None, str(fresh.doctor_id)], "rule": [None, str(fresh.rule_id or "")]}
    recording.record_change(fresh, what=what, changes=facts)
    arrival.__dict__.update(fresh.__dict__)


# What became of it ------------------------------------------------------------------------------


def settle() -> int:
    """Note what became of X-rays that doctors got; return how many were settled.

    What a doctor does not read, for whatever reason, waits for the supervisors again.
    """
    routed = Arrival.objects.filter(state=ArrivalState.ROUTED)
    ended = Q(item=None) | Q(
        item__state__in=[
            ItemState.DONE, ItemState.FAILED, ItemState.CANCELLED, ItemState.EXPIRED,
        ]
    )  # fmt: skip
    settled = 0
    for arrival in routed.filter(ended).select_related("item"):
        try:
            settled += _settle(arrival)
        except Moved:
            continue
    return settled


def _settle(arrival: Arrival) -> bool:
    item = arrival.item
    if item is not None and item.state == ItemState.DONE:
        if item.reading_id is None:
            return False
        Arrival.objects.filter(pk=arrival.pk, state=ArrivalState.ROUTED).update(
            state=ArrivalState.READ,
            reading=item.reading_id,
            stated={},
            is_stored=False,
            changed_at=timezone.now(),
        )
        _remove_file(arrival)
        return True
    reason = {"code": "returned", "params": {"item": item.state if item is not None else ""}}
    with transaction.atomic():
        if item is not None and item.state == ItemState.FAILED:
            reason = {"code": "failed", "params": item.problem}
            if not ending.withdraw(item):
                return False  # the doctor has let it be tried again
        put(arrival, ArrivalState.WAITING, reason, states=[ArrivalState.ROUTED], item=None)
    return True


def _remove_file(arrival: Arrival) -> None:
    try:
        storage.remove([arrival.storage_name])
    except OSError as error:
        logger.warning("The file of an X-ray that was read cannot be removed yet: %s", error)


# Clearing up ------------------------------------------------------------------------------------


def expire() -> int:
    """Delete the files of X-rays that have been kept out for `DICOM_KEEP_DAYS`.

    Those that a machine was told are safe here are kept.
    """
    limit = timezone.now() - datetime.timedelta(days=settings.DICOM_KEEP_DAYS)
    old = Arrival.objects.filter(
        state=ArrivalState.KEPT_OUT, is_stored=True, committed_at=None, changed_at__lt=limit
    )
    number = 0
    for arrival in old.iterator(chunk_size=500):
        with transaction.atomic():
            fresh = Arrival.objects.select_for_update().get(pk=arrival.pk)
            if fresh.state != ArrivalState.KEPT_OUT or fresh.committed_at or not fresh.is_stored:
                continue
            fresh.is_stored, fresh.stated = False, {}
            fresh.save(update_fields=["is_stored", "stated"])
            recording.record_change(fresh, what="dicom-expired", changes={"file": [True, False]})
            transaction.on_commit(lambda gone=fresh: _remove_expired(gone), robust=True)  # type: ignore[misc]
        number += 1
    return number


@transaction.atomic
def _remove_expired(arrival: Arrival) -> None:
    """Remove a file, unless a machine has sent it again since: it has the same name then."""
    fresh = Arrival.objects.select_for_update().filter(pk=arrival.pk, is_stored=False).first()
    if fresh is not None:
        _remove_file(fresh)


def leftovers() -> Iterator[StoredFile]:
    """Yield stored files without a row that needs them: of killed processes, failed removals."""
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    old = [file for file in storage.films().files(FOLDER) if file.written < newest]
    for start in range(0, len(old), 500):
        part = old[start : start + 500]
        keys = [key for file in part if (key := _key(file.filename)) is not None]
        rows = Arrival.objects.filter(pk__in=keys, is_stored=True).values_list("pk", flat=True)
        needed = {str(pk) for pk in rows}
        yield from (file for file in part if file.filename not in needed)


def missing() -> Iterator[Arrival]:
    """Yield the X-rays whose file should be in the film storage and is not."""
    for arrival in Arrival.objects.filter(is_stored=True).iterator(chunk_size=500):
        if storage.films().find(arrival.storage_name) is None:
            yield arrival


def note_missing(arrival: Arrival) -> None:
    """Tell the supervisors that a file has been lost, unless its doctor has a copy."""
    lost = Arrival.objects.filter(pk=arrival.pk, is_stored=True)
    lost.filter(state=ArrivalState.ROUTED).update(is_stored=False)
    lost.exclude(state=ArrivalState.ROUTED).update(
        state=ArrivalState.WAITING, reason={"code": "lost", "params": {}}, is_stored=False
    )


def _key(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
