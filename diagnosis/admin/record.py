"""The admin's page of a reading: what happened to it, in words."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext as _

from accounts.audit.registry import name_of
from accounts.models import AuditEntry, User
from diagnosis import access_log
from diagnosis.models import ConfirmedDiagnosis, Reading, Review
from diagnosis.visits import Visit, group

# Events that changed the reading or what others can see of it; all others are views.
DECISIONS = (
    "created", "edited", "reviewed", "hidden", "restored", "case-shared", "case-withdrawn",
    "changed", "deleted", "purged", "discrepancy", "opinion-first", "opinion-signed",
    "opinion-addendum", "second-asked", "second-opinion", "arbitrated", "diagnosis-confirmed",
)  # fmt: skip
# Computed from the fields that are listed, or named by the event itself.
NOT_LISTED = frozenset(
    {"hidden_at", "hidden_by", "scope_reasons", "age_scope", "updated_at", "discrepancies",
     "film_patient", "image_hints"}
)  # fmt: skip
EMPTY = frozenset({"", "None", None})
MAX_VISITS = 30


@dataclass
class Change:
    """One changed field, with both values as people read them."""

    name: str
    before: str
    after: str


@dataclass
class Decision:
    """One event in the history of a reading.

    Attributes:
        entry: primary key of the audit entry.
        who: the account, or the console's user.
        what: what happened, in the past tense.
        changes: the fields it changed.
        notes: reasons and further facts.
        url: the post on the board, for a shared case.
    """

    entry: int
    when: datetime.datetime
    who: str
    what: str
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    url: str = ""


def history(reading: Reading) -> list[Decision]:
    """Return what was done to a reading and by whom, newest first."""
    entries = access_log.about_readings([str(reading.pk)]).entries
    rows = entries.filter(what__in=DECISIONS).select_related("actor").order_by("-sequence")
    return [_decision(entry) for entry in rows]


def visits(reading: Reading, *, by: User) -> tuple[list[Visit], bool]:
    """Return who viewed a reading, newest first, and whether there are earlier visits."""
    found = access_log.events(access_log.about_readings([str(reading.pk)]), by=by)
    visits = group(event for event in found if event.what not in DECISIONS)
    return visits[:MAX_VISITS], len(visits) > MAX_VISITS


def _decision(entry: AuditEntry) -> Decision:
    detail = entry.additional_data or {}
    who = str(entry.actor or entry.actor_email or "")
    if not who and detail.get("console"):
        who = _("console: %(name)s") % {"name": detail["console"]}
    notes = []
    if detail.get("reason"):
        notes.append(_("Reason: %(reason)s") % {"reason": detail["reason"]})
    if "blackened" in detail:
        notes.append(_("Redaction boxes: %(n)s") % {"n": detail["blackened"]})
    return Decision(
        entry=entry.pk,
        when=entry.timestamp,
        who=who or "–",
        what=name_of(entry.what),
        changes=[] if entry.what == "created" else list(_changes(entry.changes_dict)),
        notes=notes,
        url=str(detail.get("post", "")),
    )


def _changes(changes: dict[str, Any]) -> Iterable[Change]:
    for name, values in changes.items():
        if name not in NOT_LISTED and isinstance(values, list):
            before, after = (_value(name, value) for value in values)
            yield Change(_field_name(name), before, after)


def _field(name: str) -> Any:
    """Return the field of a reading, of its doctor's assessment or of its confirmed diagnosis."""
    for model in (Reading, Review, ConfirmedDiagnosis):
        try:
            return model._meta.get_field(name)
        except FieldDoesNotExist:
            continue
    return None


def _field_name(name: str) -> str:
    found = _field(name)
    return str(found.verbose_name) if found is not None else name


def _value(name: str, value: Any) -> str:
    """Return a recorded value as people read it; the log stores values as text."""
    if value in EMPTY:
        return "–"
    choices = dict(getattr(_field(name), "flatchoices", None) or ())
    return str(choices.get(value, value))
