"""The numbers beside the filters, from one grouped query."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, Q, Value, When

from diagnosis.models import INDEPENDENT, Agreement, Label, Reading, Verdict, agreement_of
from diagnosis.querysets import ReadingQuerySet

WAITING, UNREAD, DONE = "waiting", "unread", "done"
NONE, DIFFERS = "none", "differs"
HIDDEN = "hidden"  # what another doctor said, for a list that must not tell it


@dataclass(frozen=True)
class Group:
    """Readings that no filter tells apart but those by patient, date and tag.

    Attributes:
        label: the result; "" while it is withheld.
    """

    label: str
    verdict: str
    is_unread: bool
    is_waiting: bool
    n: int


def groups(readings: ReadingQuerySet[Reading], viewer: Any = None) -> list[Group]:
    """Return the numbers of readings by result, assessment and state, in one query.

    Args:
        viewer: in lists with readings of others, who must not learn what is said about those that
            wait for a second reading.
    """
    sealed: Any = F("withheld")
    if viewer is not None:
        sealed = Case(When(_sealed_for(viewer), then=Value(True)), default=Value(False))
    rows = (
        readings.order_by()
        .annotate(sealed=sealed)
        .values("sealed", "label", "own_verdict", "is_unread")
        .annotate(n=Count("pk"), waiting=Count("waiting_since"))
        .values_list("sealed", "label", "own_verdict", "is_unread", "n", "waiting")
    )
    found = []
    for is_sealed, stored, said, is_unread, n, waiting in rows:
        label = "" if is_sealed else stored
        verdict = HIDDEN if is_sealed and viewer is not None else said
        for is_waiting, count in ((True, waiting), (False, n - waiting)):
            if count:
                found.append(Group(label, verdict, bool(is_unread), is_waiting, count))
    return found


# Each filter twice, as a condition for the database and as one for a group.
Condition = tuple[Q, Callable[[Group], bool]]


def _verdict(value: str) -> Condition:
    return Q(own_verdict=value), lambda group: group.verdict == value


def _result(value: str) -> Condition:
    return Q(withheld=False, label=value), lambda group: group.label == value


def _is_different(group: Group) -> bool:
    return agreement_of(group.label, group.verdict) == Agreement.DISAGREE


_DIFFERENT = Q(withheld=False) & (
    Q(label=Label.NORMAL, own_verdict=Verdict.PNEUMONIA)
    | Q(label=Label.PNEUMONIA, own_verdict=Verdict.NORMAL)
)
CONDITIONS: dict[str, dict[str, Condition]] = {
    "state": {
        WAITING: (Q(waiting_since__isnull=False), lambda group: group.is_waiting),
        UNREAD: (Q(is_unread=True), lambda group: group.is_unread),
        DONE: (Q(waiting_since__isnull=True), lambda group: not group.is_waiting),
    },
    "result": {str(label): _result(str(label)) for label in Label},
    "own": {
        NONE: _verdict(""),
        DIFFERS: (_DIFFERENT, _is_different),
        **{str(verdict): _verdict(str(verdict)) for verdict in Verdict},
    },
}


def _sealed_for(viewer: Any) -> Q:
    return Q(withheld=True) | (Q(second_state__in=INDEPENDENT) & ~Q(doctor_id=viewer.pk))


def condition(chosen: dict[str, Any], viewer: Any = None) -> Q:
    """Return the condition of the filters by result, assessment and state that are chosen.

    Args:
        viewer: as for `groups`.
    """
    found = Q()
    if viewer is not None and {"result", "own"} & {name for name in chosen if chosen[name]}:
        found = ~_sealed_for(viewer)
    for name, choices in CONDITIONS.items():
        if chosen.get(name) in choices:
            found &= choices[chosen[name]][0]
    return found


def count(found: Iterable[Group], chosen: dict[str, Any]) -> int:
    """Return how many readings of the groups match the filters that are chosen."""
    tests = [
        choices[chosen[name]][1]
        for name, choices in CONDITIONS.items()
        if chosen.get(name) in choices
    ]
    return sum(group.n for group in found if all(test(group) for test in tests))


def by_choice(found: list[Group], chosen: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return the number beside each choice of each filter, with the other filters as chosen."""
    return {
        name: {value: count(found, chosen | {name: value}) for value in choices}
        for name, choices in CONDITIONS.items()
    }
