"""Queries of the audit log: who accessed a reading or a patient, and what somebody accessed.

A row is about one reading, or lists the readings that a page or an export showed
(`AuditMention`). Both count as access.
"""

import datetime
import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from auditlog import get_logentry_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from accounts.audit.recording import record_event, record_shown
from accounts.models import AuditEntry, AuditMention, User
from diagnosis.models import Reading
from diagnosis.search import search_key
from diagnosis.visits import PAUSE, Event, Patient, Person, Visit, group

MAX_READINGS = 500
MAX_ROWS = 20_000
DENIED = "access-denied"
FIELDS = (
    "pk", "sequence", "timestamp", "what", "remote_addr", "additional_data__console",
    "actor_pk", "actor_email", "actor__display_name", "actor__hospital",
)  # fmt: skip
CHUNK = 500


def record_list(readings: Iterable[Reading], *, what: str, about: str = "") -> None:
    """Record that a page lists these readings; `what` is the event's code."""
    record_shown(Reading, [reading.pk for reading in readings], what=what, about=about)


def record_denied(key: str) -> None:
    """Record that a reading was asked for which the user may not see; it may not exist."""
    record_event(Reading, what=DENIED, about=key, detail={}, key=key)


def was_listed(reading: Reading, *, to: Any) -> bool:
    """Return whether a list that is on record showed the reading to `to` within the last visit."""
    recent = AuditEntry.objects.filter(timestamp__gte=timezone.now() - PAUSE)
    first = recent.order_by("timestamp").values_list("pk", flat=True).first()
    if first is None:
        return False
    mentions = AuditMention.objects.filter(object_pk=str(reading.pk), entry_id__gte=first)
    return bool(mentions.filter(entry__actor=to).exists())


def _entries() -> QuerySet[AuditEntry]:
    kind = ContentType.objects.get_for_model(Reading)
    found: QuerySet[AuditEntry] = get_logentry_model().objects.filter(content_type=kind)
    return found


def _mentions() -> QuerySet[AuditMention]:
    kind = ContentType.objects.get_for_model(Reading)
    found: QuerySet[AuditMention] = AuditMention.objects.filter(entry__content_type=kind)
    return found


class Found(NamedTuple):
    """What a search asks the log for: rows about readings, and lists that showed them."""

    entries: QuerySet[AuditEntry]
    mentions: QuerySet[AuditMention]

    def row_count(self) -> int:
        return self.entries.count() + self.mentions.count()

    def until_now(self) -> "Found":
        """Leave out what is recorded after this call."""
        last = AuditEntry.objects.order_by("-sequence").values_list("pk", flat=True).first() or 0
        return Found(self.entries.filter(pk__lte=last), self.mentions.filter(entry_id__lte=last))


def about_readings(reading_ids: list[str]) -> Found:
    """Select everything on record about the readings with these ids."""
    return Found(
        _entries().filter(object_pk__in=reading_ids),
        _mentions().filter(object_pk__in=reading_ids),
    )


def by_person(
    person: User | str, *, start: datetime.datetime, end: datetime.datetime | None = None
) -> Found:
    """Select everything that somebody saw of or did to readings.

    Args:
        person: an account, or the email address of one that no longer exists.
        start, end: the first moment, and the first moment after the last.
    """
    own = Q(actor=person) if isinstance(person, User) else Q(actor=None, actor_email=person)
    entries = _entries().between(start, end).filter(own)  # type: ignore[attr-defined]
    listed = entries.values("pk")
    return Found(entries.exclude(object_pk=""), AuditMention.objects.filter(entry__in=listed))


def events(found: Found, *, by: User) -> Iterator[Event]:
    """Yield the events of a search, newest first.

    An event that concerns readings of several patients is yielded once for each patient.

    Args:
        by: the supervisor who asks; patients are named by the readings that `by` may see.
    """
    rows = _rows(found)
    while some := list(islice(rows, CHUNK)):
        patients = _patients({key for _row, keys in some for key in keys}, by=by)
        for row, keys in some:
            by_patient: dict[Patient, list[str]] = {}
            for key in keys:
                by_patient.setdefault(patients.get(key, Patient()), []).append(key)
            for patient, own in by_patient.items():
                yield _event(row, patient, own)


def _rows(found: Found) -> Iterator[tuple[Sequence[Any], list[str]]]:
    """Yield the fields and readings of each row of the log, newest first."""
    fields = [f"entry__{name}" for name in FIELDS]
    alone = found.entries.order_by("-sequence").values_list(*FIELDS, "object_pk")
    listed = found.mentions.order_by("-entry_id").values_list(*fields, "object_pk")
    merged = heapq.merge(
        alone.iterator(chunk_size=CHUNK), listed.iterator(chunk_size=CHUNK), key=lambda row: -row[1]
    )
    last: tuple[Sequence[Any], list[str]] | None = None
    for row in merged:
        if last is not None and last[0][0] == row[0]:
            last[1].append(row[-1])
            continue
        if last is not None:
            yield last
        last = (row, [row[-1]])
    if last is not None:
        yield last


def _event(row: Sequence[Any], patient: Patient, keys: list[str]) -> Event:
    pk, sequence, when, what, address, console, actor_pk, email, name, hospital = row[: len(FIELDS)]
    person = Person(actor_pk, email or "", name or "", hospital or "", console or "")
    return Event(pk, sequence, when, person, patient, what, address or "", tuple(keys))


def visits(found: Found, *, by: User) -> tuple[list[Visit], bool]:
    """Return the visits of a search, newest first.

    Returns:
        The visits in the newest `MAX_ROWS` events, and whether there are older ones.
    """
    some = list(islice(events(found, by=by), MAX_ROWS + 1))
    return group(some[:MAX_ROWS]), len(some) > MAX_ROWS


def _patients(ids: set[str], *, by: User) -> dict[str, Patient]:
    """Return the patient of each reading, from the log's own row if the reading is purged.

    Spellings that differ in case or width only are one patient.
    """
    fields = ("pk", "patient_name", "patient_number")
    stored = Reading.objects.visible_to(by).filter(pk__in=_uuids(ids)).order_by()
    found = {str(pk): Patient(name, number) for pk, name, number in stored.values_list(*fields)}
    purged = _entries().filter(what="purged", object_pk__in=ids - set(found))
    for key, changes in purged.values_list("object_pk", "changes"):
        found[key] = Patient(*((changes or {}).get(name, [""])[0] or "" for name in fields[1:]))
    spelled: dict[tuple[str, str], Patient] = {}
    return {
        key: spelled.setdefault((search_key(patient.name), search_key(patient.number)), patient)
        for key, patient in found.items()
    }


def _uuids(ids: Iterable[str]) -> list[str]:
    """Return the ids that can be a reading's."""
    return [key for key in ids if len(key) == 36]


def reading_ids_of_patient(query: str, *, by: User) -> tuple[list[str], bool]:
    """Return the ids of a patient's readings, purged ones included.

    Args:
        query: the start of the patient's name or number. Purged readings are found by the values
            that the audit log holds; they match if they contain every word of it.
        by: the supervisor who asks.

    Returns:
        At most `MAX_READINGS` ids, and whether there are more.
    """
    stored = Reading.objects.visible_to(by).beginning_with(query).order_by()
    ids = [str(pk) for pk in stored.values_list("pk", flat=True)[: MAX_READINGS + 1]]
    ids += _purged_ids(query)
    return ids[:MAX_READINGS], len(ids) > MAX_READINGS


def _purged_ids(query: str) -> list[str]:
    entries = _entries().filter(what="purged")
    for word in query.split():
        entries = entries.filter(
            Q(changes__patient_name__0__icontains=word)
            | Q(changes__patient_number__0__icontains=word)
        )
    return list(entries.values_list("object_pk", flat=True)[: MAX_READINGS + 1])


def others_who_viewed(reading: Reading) -> list[dict[str, Any]]:
    """Return everyone but the reading's doctor who viewed it, most recent first.

    Returns:
        A dictionary for each person: `name`, `hospital`, and `last`, the time of the last view.
    """
    found = about_readings([str(reading.pk)])
    people = ("actor_pk", "actor_email", "actor__display_name", "actor__hospital")
    seen: dict[int, dict[str, Any]] = {}
    for rows, prefix in ((found.entries.exclude(what=DENIED), ""), (found.mentions, "entry__")):
        views = rows.filter(
            **{f"{prefix}action": AuditEntry.Action.ACCESS, f"{prefix}actor_pk__isnull": False}
        ).exclude(**{f"{prefix}actor_pk": reading.doctor_id})
        last = views.order_by().values_list(*(prefix + name for name in people))
        for pk, email, name, hospital, when in last.annotate(last=Max(f"{prefix}timestamp")):
            row = seen.setdefault(pk, {"name": name or email, "hospital": hospital or ""})
            row["last"] = max(when, row.get("last", when))
    return sorted(seen.values(), key=lambda row: row["last"], reverse=True)
