"""The only access path to patient data.

Every view, form and admin page starts from one of these methods.
The querysets are generic in their model, so this module needs none of `diagnosis.models`.
"""

import uuid
from contextlib import suppress
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from diagnosis.search import number_key, search_key

SEARCH_LIMIT = 1000
MAX_QUERY_LENGTH = 250

ReadingT = TypeVar("ReadingT", bound=models.Model)


class ReadingQuerySet(models.QuerySet[ReadingT]):
    """Readings, restricted to what a user may see."""

    def own_of(self, user: Any) -> Self:
        """Return the readings that `user` made and has not deleted."""
        return self._made_by(user).filter(hidden_at__isnull=True)

    def hidden_of(self, user: Any) -> Self:
        """Return the readings that `user` made and deleted, to undo the deletion."""
        return self._made_by(user).filter(hidden_at__isnull=False, hidden_by_id=user.pk)

    def known_to(self, user: Any) -> Self:
        """Return every reading of `user`, deleted ones included, and those of the user's teams.

        Only for recognising patients in the user's own text; never show these readings.
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
        """Return the readings that `user` works on: the own ones, and those of their teams.

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
