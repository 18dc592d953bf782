"""Verification of the audit log: finds rows that were altered, removed or inserted."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType

from accounts.audit import anchor
from accounts.audit.models import KINDS, AuditEntry, AuditHead
from accounts.audit.registry import ALWAYS_RECORDED

CHUNK = 500
NAMED = 3


def verify_log(*, head: tuple[int, str] | None = None) -> Iterator[str]:
    """Read the whole log, oldest row first, and yield a sentence for each finding.

    Args:
        head: number and seal of a row recorded earlier, which must still exist.
    """
    # Before the rows, to which the site may add while they are read.
    expected, broken = _expected_rows(head)
    yield from broken
    newest = AuditHead.objects.filter(pk=1).first()
    if newest is None:
        newest = AuditHead()
        yield "The head of the log is missing: the log was emptied or its end was removed."
    kinds: dict[str, str] = {}
    last, last_seal = 0, ""
    entries = AuditEntry.objects.order_by("sequence").prefetch_related("mentions")
    for entry in entries.iterator(chunk_size=2000):
        if entry.sequence > newest.sequence and not _written_meanwhile(newest):
            yield f"{_row(entry)} comes after the head of the log: it was inserted by hand."
        if entry.sequence > last + 1:
            yield _missing(last + 1, entry.sequence - 1)
        yield from _check_entry(entry, kinds)
        if entry.sequence == last + 1 and entry.previous_seal != last_seal:
            yield f"{_row(entry)} does not follow the row before it: one of them was replaced."
        last, last_seal = entry.sequence, entry.seal
        if entry.sequence == newest.sequence and entry.seal != newest.seal:
            yield f"{_row(entry)} is not the row that the head of the log refers to."
        expected.pop((entry.sequence, entry.seal), None)
    if last == 0:
        yield "The log is empty: it was emptied, because every site's log begins with a row."
    if last < newest.sequence:
        yield _missing(last + 1, newest.sequence)
    if not newest.is_own:
        yield f"The head of the log, which refers to row {newest.sequence}, was altered."
    yield from expected.values()
    yield from _check_kinds(kinds)
    yield from _check_objects()


def _expected_rows(head: tuple[int, str] | None) -> tuple[dict[tuple[int, str], str], list[str]]:
    """Return the sentences about rows that must exist, by number and seal; and other findings."""
    expected: dict[tuple[int, str], str] = {}
    if head is not None:
        expected[head] = (
            f"Row {head[0]} differs from the recorded head: rows were removed or replaced."
        )
    try:
        named = anchor.read()
    except anchor.AnchorError as error:
        return expected, [f"The anchor cannot be compared: {error}"]
    if named is not None:
        expected[named.sequence, named.seal] = (
            f"Row {named.sequence} differs from the anchor {anchor.path()}, written "
            f"{named.written_at:%Y-%m-%d %H:%M:%S UTC}: rows were removed or replaced, or an older "
            "copy of the database was restored. After a restore that you know of, run manage.py "
            "anchor_audit --reason TEXT."
        )
    elif anchor.path() is not None:
        return expected, [
            f"The anchor {anchor.path()} is missing, so nothing outside the database names the "
            "newest row. Restore it from a backup, or run manage.py anchor_audit --reason TEXT."
        ]
    return expected, []


def _written_meanwhile(head: AuditHead) -> bool:
    """Return whether the site has added rows since `head` was read."""
    now = AuditHead.objects.filter(pk=1).first()
    return now is not None and now.sequence > head.sequence and now.is_own


def _missing(first: int, last: int) -> str:
    return f"Row {first} is missing." if first == last else f"Rows {first} to {last} are missing."


def _row(entry: AuditEntry) -> str:
    when = entry.timestamp.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"Row {entry.sequence} ({when}, {entry.what}, by {entry.actor_email or 'no account'})"


def _check_entry(entry: AuditEntry, kinds: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with a row; if it is sealed, add the kinds it records to `kinds`."""
    if not entry.is_sealed:
        yield f"{_row(entry)} was altered or inserted by hand."
    elif entry.actor_id is not None and entry.actor_id != entry.actor_pk:
        yield f"{_row(entry)} refers to another account than the one it was written for."
    elif {mention.object_pk for mention in entry.mentions.all()} != set(entry.shown_keys):
        yield f"{_row(entry)} is indexed under other objects than those it lists."
    elif entry.what == KINDS:
        for key, name in (entry.additional_data or {}).get("kinds", {}).items():
            kinds.setdefault(key, name)


def _check_kinds(recorded: dict[str, str]) -> Iterator[str]:
    """Compare the names of the kinds of objects with those that the log records."""
    if not recorded:
        yield "The log does not record what its rows are about. Run manage.py migrate."
        return
    current = {
        str(key): f"{app}.{model}"
        for key, app, model in ContentType.objects.values_list("pk", "app_label", "model")
    }
    for key, name in recorded.items():
        if current.get(key) != name:
            yield (
                f"Rows about kind {key} were written about {name}; the table django_content_type "
                f"calls it {current.get(key, 'nothing')}: it was changed by hand."
            )
    used = AuditEntry.objects.order_by().values_list("content_type_id", flat=True).distinct()
    for number in used:
        if str(number) not in recorded:
            yield (
                f"Rows are about kind {number} ({current.get(str(number), 'none')}), which the log "
                "does not record. Run manage.py migrate; if that changes nothing, the table "
                "django_content_type was changed by hand."
            )


def _check_objects() -> Iterator[str]:
    """Yield a sentence for each model with objects whose creation is not in the log."""
    for label in sorted(ALWAYS_RECORDED):
        model = apps.get_model(label)
        unrecorded = list(_unrecorded(model))
        if unrecorded:
            shown = ", ".join(unrecorded[:NAMED]) + (", …" if len(unrecorded) > NAMED else "")
            total = model._default_manager.count()
            yield (
                f"{len(unrecorded)} of {total} {label} objects have no row about their creation "
                f"({shown}): rows were removed, or the objects were inserted by hand."
            )


def _unrecorded(model: Any) -> Iterator[str]:
    keys = iter(model._base_manager.order_by().values_list("pk", flat=True).iterator(CHUNK))
    kind = ContentType.objects.filter(
        app_label=model._meta.app_label, model=model._meta.model_name
    ).first()
    created = AuditEntry.Action.CREATE
    rows = AuditEntry.objects.filter(content_type=kind, action=created).order_by()
    while some := [str(key) for key in islice(keys, CHUNK)]:
        found = set(rows.filter(object_pk__in=some).values_list("object_pk", flat=True))
        yield from (key for key in some if key not in found)
