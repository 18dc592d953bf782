"""The only access path to patient data.

Every view, form and admin page starts from one of these methods.
The querysets are generic in their model, so this module needs none of `diagnosis.models`.
"""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import Exists, OuterRef, Value
from django.db.models.functions import Lower, StrIndex
from django.db.models.lookups import GreaterThan
from django.db.models.query import ModelIterable

from diagnosis.answer import ANSWER_FIELDS
from diagnosis.search import number_key, search_key

SEARCH_LIMIT = 1000
FEW = 1000
# States of a second reading in which colleagues see neither opinion nor result; the values of
# `models.INDEPENDENT`, which this module cannot import.
INDEPENDENT = ("HELD", "WAITS")
MAX_QUERY_LENGTH = 250

ReadingT = TypeVar("ReadingT", bound=models.Model)


class _SealingIterable(ModelIterable):
    """Yield objects without their answer where it is withheld from the queryset's viewer."""

    def __iter__(self) -> Iterator[Any]:
        viewer = self.queryset.viewer  # type: ignore[attr-defined]
        for reading in super().__iter__():
            if is_withheld(reading, viewer):
                reading.seal()
            yield reading


def is_withheld(reading: Any, user: Any) -> bool:
    """Return whether the model's answer about `reading` is withheld from `user`.

    It is until the first opinion, from everybody but supervisors; from a supervisor too who is the
    reading's doctor. It is, with the doctor's opinion, until the second reading, from colleagues.
    """
    is_own = reading.doctor_id == user.pk
    if not reading.withheld and (is_own or reading.second_state not in INDEPENDENT):
        return False
    return is_own or not user.has_perm("diagnosis.oversee_reading")


def _few_keys(found: models.QuerySet[Any]) -> list[Any]:
    """Return the keys of the readings, and no more than one beyond `FEW`."""
    return list(found.order_by().values_list("pk", flat=True)[: FEW + 1])


class ReadingQuerySet(models.QuerySet[ReadingT]):
    """Readings, restricted to what a user may see.

    Attributes:
        viewer: whom the objects are loaded for, see `with_withheld`.
    """

    viewer: Any = None

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone.viewer = self.viewer
        return clone

    def _values(self, *fields: Any, **expressions: Any) -> Self:
        if self.viewer is not None and ANSWER_FIELDS.keys() & set(fields):
            raise TypeError("Values cannot be sealed. Apply `answered` instead of `with_withheld`.")
        return super()._values(*fields, **expressions)  # type: ignore[misc]

    def with_withheld(self, user: Any) -> Self:
        """Load objects for a page of `user`: where the model's answer is withheld, without it.

        Such an object has `is_sealed`, and the values of `ANSWER_FIELDS`. This hides values only:
        a filter, count or order by the model's result has to start from `answered`, which leaves
        those readings out.
        """
        loaded = self._chain()  # type: ignore[attr-defined]
        loaded.viewer, loaded._iterable_class = user, _SealingIterable
        return loaded

    def answered(self, user: Any) -> Self:
        """Return the readings whose model's answer is not withheld from `user`.

        Every filter, count or order of a doctor's page by result, probability or any other of
        `ANSWER_FIELDS` has to be restricted by it. The few withheld readings are found in an index
        of their own, so the index of the query itself still covers it.
        """
        readings = self.model._default_manager.using(self.db)
        withheld = readings.filter(withheld=True)
        if user.has_perm("diagnosis.oversee_reading"):
            withheld = withheld.filter(doctor_id=user.pk)
            return self.exclude(pk__in=withheld.order_by().values("pk"))
        independent = readings.filter(second_state__in=INDEPENDENT, hidden_at__isnull=True)
        others = independent.exclude(doctor_id=user.pk)
        return self.exclude(pk__in=withheld.order_by().values("pk")).exclude(
            pk__in=others.order_by().values("pk")
        )

    def withheld_from(self, user: Any) -> Self:
        """Return the readings whose model's answer is withheld from `user`: the opposite."""
        if user.has_perm("diagnosis.oversee_reading"):
            return self.filter(withheld=True, doctor_id=user.pk)
        others = models.Q(second_state__in=INDEPENDENT) & ~models.Q(doctor_id=user.pk)
        return self.filter(models.Q(withheld=True) | others)

    def for_second_reading(self, user: Any) -> Self:
        """Return the readings of the user's teams that wait for a second reading."""
        waiting = self.team_of(user).filter(second_state="WAITS")
        return waiting.exclude(doctor_id=user.pk)

    def for_arbiter(self, user: Any) -> Self:
        """Return the readings that wait for the decision of `user`, an arbiter of their team.

        Neither the first nor the second reader can be the arbiter.
        """
        if not (user.is_authenticated and user.has_perm("diagnosis.add_reading")):
            return self.none()
        memberships = user.team_memberships.using(self.db).filter(role="ARBITER").order_by()
        teams = list(memberships.values_list("team_id", flat=True))
        split = self.filter(team_id__in=teams, second_state="SPLIT", hidden_at__isnull=True)
        return split.exclude(doctor_id=user.pk).exclude(opinions__author_id=user.pk)

    def own_of(self, user: Any) -> Self:
        """Return the readings that `user` made and has not deleted."""
        return self._made_by(user).filter(hidden_at__isnull=True)

    def hidden_of(self, user: Any) -> Self:
        """Return the readings that `user` made and deleted, to undo the deletion."""
        return self._made_by(user).filter(hidden_at__isnull=False, hidden_by_id=user.pk)

    def known_to(self, user: Any) -> Self:
        """Return every reading of `user`, deleted ones included, and those of the user's teams.

        Only for recognising patients in the user's own text, and films; never show these readings.
        """
        own = models.Q(doctor_id=user.pk)
        teams = list(user.team_memberships.values_list("team_id", flat=True))
        return self.filter(own | models.Q(team_id__in=teams) if teams else own)

    def _made_by(self, user: Any) -> Self:
        if not (user.is_authenticated and user.has_perm("diagnosis.add_reading")):
            return self.none()
        return self.filter(doctor_id=user.pk)

    def visible_to(self, user: Any) -> Self:
        """Return the readings that `user` may see.

        Doctors see their own readings and those of their teams that are not deleted; supervisors
        see all readings.
        """
        if user.is_authenticated and user.has_perm("diagnosis.oversee_reading"):
            return self.all()
        return self.worklist_of(user)

    def team_of(self, user: Any) -> Self:
        """Return the readings of the teams that `user` is a member of, by any doctor.

        Deleted ones are left out. Membership is looked up now, so leaving a team ends access.
        """
        teams = self._teams_of(user)
        if not teams:
            return self.none()
        return self.filter(team_id__in=teams, hidden_at__isnull=True)

    def worklist_of(self, user: Any) -> Self:
        """Return the readings that `user` works on: those they made, and those of their teams.

        Whoever is a member of no team gets `own_of`, with its indexes.
        """
        teams = self._teams_of(user)
        if not teams:
            return self.own_of(user)
        return self.filter(
            models.Q(doctor_id=user.pk) | models.Q(team_id__in=teams), hidden_at__isnull=True
        )

    def _teams_of(self, user: Any) -> list[int]:
        """Return the keys of a doctor's teams; a query of a few rows."""
        if not (user.is_authenticated and user.has_perm("diagnosis.add_reading")):
            return []
        memberships = user.team_memberships.using(self.db).order_by()
        return list(memberships.values_list("team_id", flat=True))

    def counted(self) -> Self:
        """Return every reading that is not deleted.

        Only for statistics; never name or show these readings.
        """
        return self.filter(hidden_at__isnull=True)

    def stored(self) -> Self:
        """Return every reading whose film is stored, deleted ones included.

        Only for sums of storage; never name or show these readings.
        """
        return self.order_by()

    def about(self, query: str) -> Self:
        """Return the readings whose patient's name or number contains every word of `query`.

        Case and character width are ignored. Scans every row of the queryset, so apply it to one
        doctor's readings only.
        """
        # No name is longer, and databases raise errors on such text instead of finding nothing.
        if len(query) > MAX_QUERY_LENGTH:
            return self.none()
        found = self
        for word in search_key(query).split():
            found = found.filter(
                GreaterThan(StrIndex("patient_name_key", Value(word)), 0)
                | GreaterThan(StrIndex("patient_number_key", Value(word)), 0)
            )
        return found

    def few_about(self, query: str) -> Self:
        """Return the readings as `about` does, by their keys if they are few.

        If no reading matches, return those whose file's name contains the query.

        What follows (counting, sorting, loading) then looks at these only. Many matches need no
        keys: any order soon comes upon enough of them for a page.
        """
        found = self.about(query)
        keys = _few_keys(found)
        if not keys:
            found = self.of_file(query)
            keys = _few_keys(found)
        return self.filter(pk__in=keys) if len(keys) <= FEW else found

    def of_file(self, query: str) -> Self:
        """Return the readings whose file's name contains `query`, whatever the case of letters.

        Scans an index of one doctor's readings, so apply it to these only.
        """
        text = query.strip().lower()
        if not text or len(text) > MAX_QUERY_LENGTH:
            return self.none()
        return self.filter(GreaterThan(StrIndex(Lower("original_name"), Value(text)), 0))

    def tagged(self, tag: Any) -> Self:
        """Return the readings with a tag, by their keys if they are few, as `few_about`."""
        keys = list(tag.taggings.values_list("reading_id", flat=True)[: FEW + 1])
        if len(keys) <= FEW:
            return self.filter(pk__in=keys)
        return self.filter(Exists(tag.taggings.filter(reading_id=OuterRef("pk"))))

    def beginning_with(self, query: str) -> Self:
        """Return the readings whose patient's name or number starts with `query`.

        Case and character width are ignored. A complete reading id matches too. At most
        `SEARCH_LIMIT` names and as many numbers are matched, so the cost does not depend on the
        size of the table. The matches are searched at once, and not in subqueries: PostgreSQL would
        compare every reading with the results of the two.
        """
        key = search_key(query)
        if not key:
            return self.none()
        found: set[Any] = set()
        for field in ("patient_name_key", "patient_number_key"):
            matches = self.model._default_manager.using(self.db).filter(**{f"{field}__begins": key})
            ordered = matches.order_by(field, "-created_at")
            found |= set(ordered.values_list("pk", flat=True)[:SEARCH_LIMIT])
        with suppress(ValueError):
            found.add(uuid.UUID(key))
        return self.filter(pk__in=found)


PatientT = TypeVar("PatientT", bound=models.Model)


class PatientQuerySet(models.QuerySet[PatientT]):
    """Patients, restricted to what a user may see."""

    def visible_to(self, user: Any) -> Self:
        """Return the patients whom `user` may see: supervisors all, doctors those of readings.

        Doctors must not be shown the row's own values: they may come from a reading of a doctor
        with whom they share no team.
        """
        if user.is_authenticated and user.has_perm("diagnosis.oversee_reading"):
            return self.all()
        readings = self.model._meta.apps.get_model("diagnosis", "Reading").objects
        seen = readings.visible_to(user).filter(study__patient_id=models.OuterRef("pk"))
        return self.filter(models.Exists(seen))

    def beginning_with(self, query: str) -> Self:
        """Return the patients whose name or number starts with `query`.

        Case and character width are ignored, and spaces in numbers. At most `SEARCH_LIMIT` names
        and as many numbers are matched.
        """
        found: set[Any] = set()
        for field, key in (("name_key", search_key(query)), ("number_key", number_key(query))):
            if key:
                matches = self.filter(**{f"{field}__begins": key}).order_by(field)
                found |= set(matches.values_list("pk", flat=True)[:SEARCH_LIMIT])
        return self.filter(pk__in=found)
