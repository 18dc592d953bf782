"""Checks of the database, of the clock and of the audit log, for `xraysite.common.readiness`."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.audit import anchor, anchoring
from accounts.audit.models import AuditEntry, AuditHead
from xraysite.common.readiness import NotReadyError

# A row that `clearsessions` removes and no browser can use: it has expired.
PROBE_KEY = "readiness"
EXPIRED = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
# How long a try waits for other writers, in milliseconds.
WAIT_MS = 2000
# The clocks of several machines may differ by so much.
CLOCKS_DIFFER = datetime.timedelta(seconds=10)


def check_database() -> None:
    """Write a row and commit it.

    Raises:
        NotReadyError: "full", "read-only", "locked" or "unreachable".
    """
    try:
        with _short_wait(), transaction.atomic():
            # The content differs each time: an unchanged one need not reach the disk.
            Session.objects.update_or_create(
                session_key=PROBE_KEY,
                defaults={"session_data": timezone.now().isoformat(), "expire_date": EXPIRED},
            )
    except DatabaseError as error:
        raise NotReadyError(_code(str(error).lower()), str(error)) from error


def _code(message: str) -> str:
    for code, words in (
        ("full", ("is full", "no space left", "disk i/o error")),
        ("read-only", ("readonly", "read-only")),
        ("locked", ("locked", "timeout")),
    ):
        if any(word in message for word in words):
            return code
    return "unreachable"


@contextmanager
def _short_wait() -> Iterator[None]:
    """Wait `WAIT_MS` for other writers instead of the usual time."""
    if connection.vendor != "sqlite":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {WAIT_MS}")
            cursor.execute(f"SET LOCAL lock_timeout = {WAIT_MS}")
            yield
        return
    with connection.cursor() as cursor:
        usual = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(usual)}")


def check_clock() -> None:
    """Compare the clock with the newest row and with the newest file.

    Raises:
        NotReadyError: "back": the clock is behind them, so it was set back.
    """
    newest = AuditEntry.objects.order_by("-sequence").values_list("timestamp", flat=True).first()
    try:
        named = anchor.read()
    except anchor.AnchorError:
        named = None  # the check of the audit log says so
    now = timezone.now()
    for moment in (newest, named.written_at if named else None):
        if moment is not None and moment > now + CLOCKS_DIFFER:
            raise NotReadyError("back", f"It is {now:%Y-%m-%d %H:%M:%S UTC}, before {moment} UTC.")


def check_audit_log() -> None:
    """Compare the audit log with its head and its anchor; `verify_audit` reads all of it.

    Raises:
        NotReadyError: "altered", or "anchor" if the anchor is missing or cannot be read.
    """
    head = AuditHead.objects.filter(pk=1).first()
    if head is None or not head.is_own:
        raise NotReadyError("altered", "The head of the audit log was altered or removed.")
    if anchor.path() is None:
        return
    try:
        named = anchor.read()
        if named is None:
            raise NotReadyError("anchor", f"{anchor.path()} is missing.")
        anchoring.require_row(named)
    except anchoring.BrokenLogError as error:
        raise NotReadyError("altered", str(error)) from error
    except anchor.AnchorError as error:
        raise NotReadyError("anchor", str(error)) from error
