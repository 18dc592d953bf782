"""The only access path to orders for people; machines get theirs from `worklist`."""

from typing import Any, Self

from django.db import models
from django.db.models import Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from diagnosis.search import search_key

MAX_QUERY_LENGTH = 250


class OrderQuerySet(models.QuerySet[Any]):
    """Orders, restricted to what a user may see."""

    def visible_to(self, user: Any) -> Self:
        """Return the orders that `user` may see.

        Supervisors see all of them; doctors those for them, those for their teams, and those that
        they entered themselves.
        """
        if not user.is_authenticated:
            return self.none()
        if user.has_perm("diagnosis.oversee_reading"):
            return self.all()
        if not user.has_perm("diagnosis.add_reading"):
            return self.none()
        teams = list(user.team_memberships.order_by().values_list("team_id", flat=True))
        own = models.Q(doctor_id=user.pk) | models.Q(created_by_id=user.pk)
        return self.filter(own | models.Q(team_id__in=teams) if teams else own)

    def about(self, query: str) -> Self:
        """Return the orders in whose names or numbers every word of `query` occurs."""
        if len(query) > MAX_QUERY_LENGTH:
            return self.none()
        found = self
        for word in search_key(query).split():
            found = found.filter(GreaterThan(StrIndex("search_text", Value(word)), 0))
        return found
