"""Verification of the audit log: finds rows that were altered, removed or inserted."""

from collections.abc import Iterator

from django.contrib.auth import get_user_model

from accounts.audit.models import AuditEntry, AuditHead, is_mac


def verify_log(*, head: tuple[int, str] | None = None) -> Iterator[str]:
    """Read the whole log, oldest row first, and yield a sentence for each finding.

    Args:
        head: number and seal of a row recorded earlier, which must still exist.
    """
    newest = AuditHead.objects.filter(pk=1).first()
    if newest is None:
        newest = AuditHead()
        if AuditEntry.objects.exists() or get_user_model().objects.exists():
            yield "The head of the log is missing: the log was emptied or its end was removed."
    last, last_seal, noted = 0, "", None
    entries = AuditEntry.objects.order_by("sequence").prefetch_related("mentions")
    for entry in entries.iterator(chunk_size=2000):
        if entry.sequence > newest.sequence and not _written_meanwhile(newest):
            yield f"{_row(entry)} comes after the head of the log: it was inserted by hand."
        if entry.sequence > last + 1:
            yield _missing(last + 1, entry.sequence - 1)
        yield from _check_entry(entry)
        if entry.sequence == last + 1 and entry.previous_seal != last_seal:
            yield f"{_row(entry)} does not follow the row before it: one of them was replaced."
        last, last_seal = entry.sequence, entry.seal
        if entry.sequence == newest.sequence and entry.seal != newest.seal:
            yield f"{_row(entry)} is not the row that the head of the log refers to."
        if head is not None and entry.sequence == head[0]:
            noted = entry.seal
    if last < newest.sequence:
        yield _missing(last + 1, newest.sequence)
    if not newest.is_own:
        yield f"The head of the log, which refers to row {newest.sequence}, was altered."
    if head is not None and noted != head[1]:
        yield f"Row {head[0]} differs from the recorded head: rows were removed or replaced."


def _written_meanwhile(head: AuditHead) -> bool:
    """Return whether the site has added rows since `head` was read."""
    now = AuditHead.objects.filter(pk=1).first()
    return now is not None and now.sequence > head.sequence and now.is_own


def _missing(first: int, last: int) -> str:
    return f"Row {first} is missing." if first == last else f"Rows {first} to {last} are missing."


def _row(entry: AuditEntry) -> str:
    when = entry.timestamp.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"Row {entry.sequence} ({when}, {entry.what}, by {entry.actor_email or 'no account'})"


def _check_entry(entry: AuditEntry) -> Iterator[str]:
    if not is_mac(entry.seal, entry.sealed_text()):
        yield f"{_row(entry)} was altered or inserted by hand."
    elif entry.actor_id is not None and entry.actor_id != entry.actor_pk:
        yield f"{_row(entry)} refers to another account than the one it was written for."
    elif {mention.object_pk for mention in entry.mentions.all()} != set(entry.shown_keys):
        yield f"{_row(entry)} is indexed under other objects than those it lists."
