"""A doctor's worklist: what is in it, in which order, one page of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict

from diagnosis.models import INDEPENDENT, Reading
from diagnosis.worklist import counts, orders
from diagnosis.worklist.filters import ReadingFilter
from xraysite.common import keyset
from xraysite.common.keyset import Place, Segment, Slice

PAGE_SIZE = 50
MAX_LENGTH = 260  # of a field; a longer search finds nothing


@dataclass
class Worklist:
    """The readings of a user that match a search, in its order.

    Attributes:
        request: of the user whose list it is.
        query: the fields of the search form by name.
    """

    request: HttpRequest
    query: Mapping[str, str]

    @cached_property
    def all(self) -> "QuerySet[Reading]":
        """What is searched: the user's own readings, or those of the user's teams."""
        user = self.request.user
        match self.query.get("scope"):
            case "team":
                return Reading.objects.team_of(user)
            case "assigned":
                return Reading.objects.worklist_of(user).filter(assigned_to_id=user.pk)
            case "second":
                return Reading.objects.for_second_reading(user)
            case "arbiter":
                return Reading.objects.for_arbiter(user)
        return Reading.objects.own_of(user)

    @cached_property
    def search(self) -> ReadingFilter:
        data = MultiValueDict({name: [value] for name, value in self.query.items()})
        return ReadingFilter(data, queryset=self.all, request=self.request)

    @cached_property
    def sort(self) -> str:
        chosen = self.query.get("sort", "")
        if self.is_independent and chosen.lstrip("-") in orders.BY_ANSWER:
            return orders.TRIAGE
        return chosen if chosen in orders.SORTS else orders.TRIAGE

    @cached_property
    def is_independent(self) -> bool:
        """Whether it has readings of others that the user may have to read independently.

        It is then never ordered by the result: a place in the order would tell it.
        """
        if not self.query.get("scope"):
            return False
        others = Reading.objects.team_of(self.request.user).exclude(doctor_id=self.request.user.pk)
        return others.filter(second_state__in=INDEPENDENT).exists()

    @property
    def viewer(self) -> Any:
        """Whose second readings have to be left out of filters by result; None without any."""
        return self.request.user if self.is_independent else None

    @cached_property
    def segments(self) -> Sequence[Segment]:
        return orders.segments(self.sort, by_answer=not self.is_independent)

    @cached_property
    def found(self) -> "QuerySet[Reading]":
        """Every reading of the list, in no order."""
        narrowed: QuerySet[Reading] = self.search.narrowed
        return narrowed.filter(counts.condition(self.search.chosen, self.viewer))

    @cached_property
    def groups(self) -> list[counts.Group]:
        return counts.groups(self.search.narrowed, self.viewer)

    @cached_property
    def total(self) -> int:
        return counts.count(self.groups, self.search.chosen)

    @cached_property
    def counted(self) -> dict[str, dict[str, int]]:
        """The number beside each choice, by filter and choice."""
        return counts.by_choice(self.groups, self.search.chosen)

    def label_choices(self) -> None:
        """Write the numbers of readings beside the choices of the search form."""
        for name, numbers in self.counted.items():
            field = self.search.form.fields[name]
            field.choices = [
                (value, f"{label} ({numbers[value]})" if value in numbers else label)
                for value, label in field.choices
            ]

    def only(self, **chosen: str) -> int:
        """Return how many readings there are with these filters instead of those chosen."""
        return counts.count(self.groups, chosen)

    def place_of(self, key: Any) -> Place | None:
        """Return where a reading is, even if it does not match the search."""
        return self.places_of([key]).get(key)

    def places_of(self, keys: Sequence[Any]) -> dict[Any, Place]:
        """Return the same for several readings, by their keys."""
        return keyset.places_of(self.all, self.segments, keys)

    def page(self, *, after: Place | None = None, before: Place | None = None) -> Slice:
        return keyset.page_of(self.found, self.segments, size=PAGE_SIZE, after=after, before=before)

    def first_unread(self, *, after: Place | None = None, but: Any = None) -> Any:
        """Return the key of the next reading that is not opened yet; None without one."""
        unread = self.found.filter(is_unread=True).exclude(pk=but)
        keys = keyset.keys_after(unread, self.segments, after, 1)
        return keys[0] if keys else None


def query_of(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of the search form among a request's parameters, those that are set."""
    return {
        name: str(parameters[name])[:MAX_LENGTH]
        for name in ReadingFilter.base_filters
        if parameters.get(name)
    }
