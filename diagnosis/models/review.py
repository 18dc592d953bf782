"""The doctor's own assessment of a film."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.models.choices import Verdict
from diagnosis.models.reading import Reading


class Review(models.Model):
    """A doctor's own assessment of a reading's film.

    It is used to count disagreements between doctors and the model.
    """

    reading = models.OneToOneField(
        Reading, on_delete=models.CASCADE, related_name="review", verbose_name=_("reading")
    )
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("doctor"),
    )
    verdict = models.CharField(_("doctor's assessment"), max_length=12, choices=Verdict.choices)
    note = models.CharField(_("note"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("recorded at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("last changed at"), auto_now=True)

    class Meta:
        verbose_name = _("doctor's assessment")
        verbose_name_plural = _("doctors' assessments")
        default_permissions = ()
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=Verdict.values), name="review_verdict_known"
            ),
        ]

    def __str__(self) -> str:
        return str(self.reading_id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save it, and what the worklist knows of it in the reading's row."""
        super().save(*args, **kwargs)
        # An update: the reading itself and its `updated_at` do not change.
        Reading.objects.filter(pk=self.reading_id).update(**self.worklist_columns())

    def worklist_columns(self) -> dict[str, Any]:
        """Return the columns of the reading that say which assessment is recorded.

        The only place that decides which assessment ends a reading's waiting.
        """
        return {"own_verdict": self.verdict, "waiting_since": None}
