"""The only door to patient data: every view, form and admin page starts from one of these."""

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from diagnosis.search import search_key

if TYPE_CHECKING:
    from diagnosis.models import Reading  # noqa: F401

SEARCH_LIMIT = 1000
MAX_WORDS_LENGTH = 250


class ReadingQuerySet(models.QuerySet["Reading"]):
    def own_of(self, user: Any) -> Self:
        """Returns the readings that `user` made and did not delete."""
        return self._made_by(user).filter(hidden_at__isnull=True)

    def hidden_of(self, user: Any) -> Self:
        """Returns the readings that `user` made and deleted, for the undoing of it."""
        return self._made_by(user).filter(hidden_at__isnull=False, hidden_by_id=user.pk)

    def ever_made_by(self, user: Any) -> Self:
        """Returns every reading of `user`, deleted ones too: to recognise what is a patient's in
        the user's own text, never to show one.
        """
        return self.filter(doctor_id=user.pk)

    def _made_by(self, user: Any) -> Self:
        if not (user.is_authenticated and user.has_perm("diagnosis.add_reading")):
            return self.none()
        return self.filter(doctor_id=user.pk)

    def visible_to(self, user: Any) -> Self:
        """Returns what `user` may look at: their own readings, or all of them for a supervisor.

        What its doctor deleted, a supervisor alone sees.
        """
        if user.is_authenticated and user.has_perm("diagnosis.oversee_reading"):
            return self.all()
        return self.own_of(user)

    def counted(self) -> Self:
        """Returns every reading that was not deleted: for figures, never to name or show one."""
        return self.filter(hidden_at__isnull=True)

    def about(self, words: str) -> Self:
        """Returns the readings whose patient's name or number holds every one of `words`.

        Without regard to case and width. Reads every row of the queryset: for one doctor's
        readings, not for all of them.
        """
        # No name is longer, and a database refuses such texts rather than finding nothing.
        if len(words) > MAX_WORDS_LENGTH:
            return self.none()
        found = self
        for word in search_key(words).split():
            found = found.filter(
                GreaterThan(StrIndex("patient_name_key", Value(word)), 0)
                | GreaterThan(StrIndex("patient_number_key", Value(word)), 0)
            )
        return found

    def beginning_with(self, words: str) -> Self:
        """Returns the readings whose patient's name or number begins with `words`.

        Without regard to case and width; of each, the first `SEARCH_LIMIT`. A whole id finds its
        reading too. Costs the same in a table of any size.
        """
        key = search_key(words)
        if not key:
            return self.none()
        found = Q()
        for field in ("patient_name_key", "patient_number_key"):
            matches = self.model.objects.filter(**{f"{field}__begins": key})
            found |= Q(pk__in=matches.order_by(field, "-created_at").values("pk")[:SEARCH_LIMIT])
        with suppress(ValueError):
            found |= Q(pk=uuid.UUID(key))
        return self.filter(found)
