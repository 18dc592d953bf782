"""The lists that a session has shown, so that a reading's page leads to the next one.

A list is kept under a random key (`?list=KEY`): what was searched for stays out of URLs. With it
are kept the readings of its page and where the page begins and ends. Work moves readings within the
list, but the next one remains the one that was below on the screen.
"""

import datetime
import secrets
from dataclasses import dataclass, field
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from diagnosis.worklist.lists import Worklist
from xraysite.common.keyset import Place

SESSION_KEY = "worklists"
PARAMETER = "list"
MAX_KEPT = 8


@dataclass
class KeptList:
    """A list as it was shown.

    Attributes:
        query: the fields of the search form.
        keys: the readings of the page, by their primary keys as text.
        start, end: the places of the first and the last of them.
    """

    query: dict[str, str]
    keys: list[str] = field(default_factory=list)
    start: Place | None = None
    end: Place | None = None


def keep(session: SessionBase, worklist: Worklist, keys: list[Any], *, key: str = "") -> str:
    """Keep a page of a list and return its key; the same list has the same key."""
    kept: dict[str, Any] = dict(session.get(SESSION_KEY, {}))
    query = dict(worklist.query)
    key = key or next((one for one, known in kept.items() if known["query"] == query), "")
    kept.pop(key, None)
    key = key or secrets.token_urlsafe(9)
    ends = keys[:1] + keys[-1:]
    places = worklist.places_of(ends) if ends else {}
    kept[key] = {
        "query": query,
        "keys": [str(each) for each in keys],
        "ends": [_stored(places.get(each)) for each in ends],
    }
    session[SESSION_KEY] = dict(list(kept.items())[-MAX_KEPT:])
    return key


def find(session: SessionBase, key: str) -> tuple[str, KeptList]:
    """Return a kept list with its key: the latest one if this session does not know the key."""
    kept = session.get(SESSION_KEY, {})
    if key not in kept:
        if not kept:
            return "", KeptList({})
        key = list(kept)[-1]
    found = kept[key]
    start, end = ([_place(each) for each in found["ends"]] + [None, None])[:2]
    return key, KeptList(found["query"], found["keys"], start, end)


def _stored(place: Place | None) -> Any:
    if place is None:
        return None
    return [place.segment, {name: _text(value) for name, value in place.values.items()}]


def _text(value: Any) -> Any:
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if isinstance(value, int | float | None) else str(value)


def _place(stored: Any) -> Place | None:
    return Place(stored[0], stored[1]) if stored else None
