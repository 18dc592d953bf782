"""Audit events of readings, grouped into visits: one person, one patient, no pause over 30 minutes.

Opening a reading writes a row each for page, X-ray and heatmap; a list of 25 readings is one row.
Neither answers who saw a patient and when. A visit does.
"""

import datetime
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from django.utils.translation import pgettext

from accounts.audit.registry import name_of

PAUSE = datetime.timedelta(minutes=30)


class Patient(NamedTuple):
    """Name and number as the doctor entered them; both empty for an unknown reading."""

    name: str = ""
    number: str = ""


class Person(NamedTuple):
    """Who caused an event, as the audit log stores it.

    Attributes:
        pk: the account, None for the console or an unknown visitor.
        email: the address at that time.
        name: the account's name, empty if the account no longer exists.
        hospital: the account's hospital.
        console: the operating-system user of a command.
    """

    pk: int | None = None
    email: str = ""
    name: str = ""
    hospital: str = ""
    console: str = ""


@dataclass(frozen=True)
class Event:
    """An audit entry as far as it concerns one patient.

    Attributes:
        entry: primary key of the audit entry.
        sequence: its number in the log.
        readings: the patient's readings that it concerns.
    """

    entry: int
    sequence: int
    when: datetime.datetime
    person: Person
    patient: Patient
    what: str
    address: str
    readings: tuple[str, ...]


@dataclass
class Visit:
    """Events of one person about one patient, newest first."""

    person: Person
    patient: Patient
    events: list[Event] = field(default_factory=list)

    @property
    def last(self) -> datetime.datetime:
        return self.events[0].when

    @property
    def first(self) -> datetime.datetime:
        return self.events[-1].when

    @property
    def is_one_moment(self) -> bool:
        """Whether all events are within the same minute."""
        return self.first.replace(second=0, microsecond=0) == self.last.replace(
            second=0, microsecond=0
        )

    @property
    def readings(self) -> int:
        return len({key for event in self.events for key in event.readings})

    @property
    def addresses(self) -> list[str]:
        return sorted({event.address for event in self.events if event.address})

    @property
    def summary(self) -> str:
        """The events' names and how often each occurred, most frequent first."""
        names = [
            f"{name_of(what)} ×{n}" if n > 1 else name_of(what)
            for what, n in Counter(event.what for event in self.events).most_common()
        ]
        return pgettext("between the words of a list", ", ").join(names)


def group(events: Iterable[Event]) -> list[Visit]:
    """Return the visits that `events` form, the one that ended last first.

    Args:
        events: newest first.
    """
    visits: list[Visit] = []
    open_visits: dict[tuple[object, Patient], Visit] = {}
    for event in events:
        key = (event.person.pk or event.person, event.patient)
        visit = open_visits.get(key)
        if visit is None or visit.first - event.when > PAUSE:
            visit = open_visits[key] = Visit(event.person, event.patient)
            visits.append(visit)
        visit.events.append(event)
    return visits
