"""Paging through a long list by the row that a page begins after, whatever its number.

Skipping a number of rows reads all of them. Here a page is found by the values of the row before
it, within an index that has the list's order. URLs name that row by its primary key: its values,
such as a patient's name, stay on the server.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When


@dataclass(frozen=True)
class Segment:
    """A part of a list with an order of its own; a list is a sequence of segments.

    Attributes:
        order: fields to sort by, none of them null in the segment; a "-" reverses. The last one is
            unique.
        only: which rows belong to it. No row belongs to two segments.
    """

    order: tuple[str, ...]
    only: Q = field(default_factory=Q)

    def reversed(self) -> "Segment":
        return Segment(tuple(_opposite(name) for name in self.order), self.only)


@dataclass(frozen=True)
class Place:
    """Where a row is in a list: the number of its segment, and its values by field."""

    segment: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Slice:
    """A page of primary keys in the list's order."""

    keys: list[Any]
    has_previous: bool
    has_next: bool


def _opposite(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def places_of(
    rows: "QuerySet[Any]", segments: Sequence[Segment], keys: Sequence[Any]
) -> dict[Any, Place]:
    """Return where rows are by primary key, without those that no segment contains."""
    names = {name.lstrip("-") for segment in segments for name in segment.order}
    # `Q()` is no condition, and Django refuses it in a `When`.
    whens = [
        When(segment.only or Q(pk__isnull=False), then=Value(number))
        for number, segment in enumerate(segments)
    ]
    number = Case(*whens, output_field=IntegerField())
    found = rows.filter(pk__in=keys).order_by().annotate(place=number)
    places = {}
    for values in found.values("pk", "place", *names):
        key, place = values.pop("pk"), values.pop("place")
        if place is not None:
            places[key] = Place(place, values)
    return places


def keys_after(
    rows: "QuerySet[Any]", segments: Sequence[Segment], place: Place | None, limit: int
) -> list[Any]:
    """Return the primary keys of the first `limit` rows, or of those that follow a place."""
    found: list[Any] = []
    start = 0 if place is None else place.segment
    for number, segment in enumerate(segments[start:], start):
        part = rows.filter(segment.only).order_by(*segment.order)
        pieces = (
            _beyond(part, segment.order, place.values)
            if place is not None and number == start
            else iter([part])
        )
        for piece in pieces:
            found += piece.values_list("pk", flat=True)[: limit - len(found)]
            if len(found) >= limit:
                return found
    return found


def keys_before(
    rows: "QuerySet[Any]", segments: Sequence[Segment], place: Place, limit: int
) -> list[Any]:
    """Return the primary keys of the `limit` rows before a place, the nearest first."""
    backwards = [segment.reversed() for segment in reversed(segments)]
    mirrored = Place(len(segments) - 1 - place.segment, place.values)
    return keys_after(rows, backwards, mirrored, limit)


def _beyond(
    part: "QuerySet[Any]", order: Sequence[str], values: Mapping[str, Any]
) -> Iterator["QuerySet[Any]"]:
    """Yield the rows after the values, in pieces that an index finds without a scan.

    First those equal in all fields but the last, then in all but the last two, and so on.
    """
    for count in range(len(order), 0, -1):
        last = order[count - 1]
        name, way = last.lstrip("-"), "lt" if last.startswith("-") else "gt"
        equal = {each.lstrip("-"): values[each.lstrip("-")] for each in order[: count - 1]}
        yield part.filter(**equal, **{f"{name}__{way}": values[name]})


def page_of(
    rows: "QuerySet[Any]",
    segments: Sequence[Segment],
    *,
    size: int,
    after: Place | None = None,
    before: Place | None = None,
) -> Slice:
    """Return a page: the first one, the one after a place, or the one before a place."""
    if before is not None:
        keys = keys_before(rows, segments, before, size + 1)
        if len(keys) >= size:
            return Slice(keys[:size][::-1], has_previous=len(keys) > size, has_next=True)
        after = None
    keys = keys_after(rows, segments, after, size + 1)
    return Slice(keys[:size], has_previous=after is not None, has_next=len(keys) > size)
