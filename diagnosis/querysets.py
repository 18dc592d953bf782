"""The only door to patient data: every view, form and admin page starts from one of these."""

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from diagnosis.models import Reading  # noqa: F401


class ReadingQuerySet(models.QuerySet["Reading"]):
    def own_of(self, user: Any) -> Self:
        """Returns the readings that `user` made: what a doctor searches, corrects and deletes."""
        if not (user.is_authenticated and user.has_perm("diagnosis.add_reading")):
            return self.none()
        return self.filter(doctor_id=user.pk)

    def visible_to(self, user: Any) -> Self:
        """Returns what `user` may look at: their own readings, or all of them for a supervisor."""
        if user.is_authenticated and user.has_perm("diagnosis.oversee_reading"):
            return self.all()
        return self.own_of(user)

    def about(self, words: str) -> Self:
        """Returns the readings whose patient's name or number holds every one of `words`."""
        found = self
        for word in words.split():
            found = found.filter(
                Q(patient_name__icontains=word) | Q(patient_number__icontains=word)
            )
        return found
