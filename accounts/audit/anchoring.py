"""Moving the anchor forward after rows are committed, and starting the log."""

import logging
import time
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, DatabaseError, transaction

from accounts.audit import anchor
from accounts.audit.anchor import AnchorError
from accounts.audit.models import KINDS, AuditEntry, AuditHead
from accounts.audit.recording import record_event

logger = logging.getLogger(__name__)

# A process moves the anchor at most this often, in seconds.
MOVE_EVERY_S = 1.0
# It repeats an error in the log at most this often, in seconds.
REPEAT_EVERY_S = 60.0


class BrokenLogError(AnchorError):
    """Raised when the log does not contain the row that the anchor names."""


class _Throttle:
    """When this process last moved the anchor and last reported an error."""

    moved = reported = float("-inf")


def after_row(sender: Any, instance: AuditEntry, **kwargs: Any) -> None:
    """Move the anchor once a row is committed."""
    if anchor.path() is not None:
        transaction.on_commit(_move_now_and_then, robust=True)


def _move_now_and_then() -> None:
    now = time.monotonic()
    if now - _Throttle.moved < MOVE_EVERY_S:
        return
    _Throttle.moved = now
    try:
        move()
    except (AnchorError, DatabaseError) as error:
        if now - _Throttle.reported >= REPEAT_EVERY_S:
            _Throttle.reported = now
            logger.error("The audit log is not anchored: %s", error)


def move(*, wait: bool = False) -> None:
    """Let the anchor name the newest row, if the log still contains the row it named before.

    Args:
        wait: wait for another process that is moving it now, instead of leaving it to that one.

    Raises:
        BrokenLogError: the log was emptied, cut or replaced; the anchor stays.
        AnchorError: there is no anchor, or it cannot be read or written.
    """
    with anchor.locked(wait=wait) as has_lock:
        if not has_lock:
            return
        named, head = anchor.read(), AuditHead.objects.filter(pk=1).first()
        if named is None:
            raise AnchorError(
                f"{anchor.path()} is missing. Restore it from a backup, or write a new one with "
                "manage.py anchor_audit --reason TEXT."
            )
        require_row(named)
        if head is not None and head.is_own and head.sequence > named.sequence:
            anchor.write(head.sequence, head.seal)


def require_row(named: anchor.Anchor) -> None:
    """Check that the log contains the row that the anchor names.

    Raises:
        BrokenLogError: it does not.
    """
    rows = AuditEntry.objects.filter(sequence=named.sequence, seal=named.seal)
    if not rows.exists():
        raise BrokenLogError(
            f"The log does not contain row {named.sequence}, which {anchor.path()} names (written "
            f"{named.written_at:%Y-%m-%d %H:%M:%S UTC}): rows were removed or replaced, or an "
            "older copy of the database was restored. Run manage.py verify_audit."
        )


def place(*, reason: str) -> str:
    """Write the anchor whatever it named before, and record that in the log.

    Returns:
        The newest row, as `NUMBER:SEAL`.

    Raises:
        AnchorError: it cannot be written.
    """
    with anchor.locked(wait=True):
        return _place(reason)


def _place(reason: str) -> str:
    try:
        before = str(anchor.read() or "")
    except AnchorError as error:
        before = str(error)
    detail = {"file": str(anchor.path()), "before": before, "reason": reason}
    entry = record_event(AuditEntry, what="anchored", about="audit log", detail=detail)
    anchor.write(entry.sequence, entry.seal)
    return f"{entry.sequence}:{entry.seal}"


def after_migrate(using: str, plan: Any = (), **kwargs: Any) -> None:
    """Start the log of a new site, record what its rows can be about, and place the anchor."""
    backwards = any(is_backwards for _migration, is_backwards in plan or ())
    if using != DEFAULT_DB_ALIAS or backwards:
        return
    try:
        # Locked, so that the rows written here do not look for an anchor that is not there yet.
        with anchor.locked(wait=True):
            ContentType.objects.clear_cache()  # after a flush, kinds have other numbers
            with transaction.atomic():
                _start()
                record_kinds()
            if anchor.path() is not None and anchor.read() is None:
                _place("There was no anchor.")
    except (AnchorError, DatabaseError) as error:  # DatabaseError: not all tables exist yet
        logger.error("The audit log could not be prepared: %s", error)


def _start() -> None:
    """Write the first row of a new site, so that an empty log always means an emptied one."""
    if AuditEntry.objects.exists() or AuditHead.objects.exists():
        return
    if not get_user_model()._default_manager.exists():
        record_event(AuditEntry, what="log-started", about="audit log", detail={})


def record_kinds() -> None:
    """Record the names of the kinds of objects that rows are about, as far as they are new.

    A row stores the number of a kind; its name is in the table `django_content_type`, which no
    seal covers. A number that has another name than recorded earlier is left to `verify_audit`.
    """
    known, current = recorded_kinds(), current_kinds()
    new = {key: name for key, name in current.items() if key not in known}
    if new:
        record_event(AuditEntry, what=KINDS, about="audit log", detail={"kinds": new})


def current_kinds() -> dict[str, str]:
    """Return the names of the kinds of objects by their numbers."""
    kinds = ContentType.objects.get_for_models(*apps.get_models()).values()
    return {str(kind.pk): f"{kind.app_label}.{kind.model}" for kind in kinds}


def recorded_kinds() -> dict[str, str]:
    """Return the names of kinds on record, by their numbers; the earliest name counts."""
    known: dict[str, str] = {}
    for entry in AuditEntry.objects.filter(what=KINDS).order_by("sequence"):
        if entry.is_sealed:
            known = {**(entry.additional_data or {}).get("kinds", {}), **known}
    return known
