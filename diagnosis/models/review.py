"""The doctor's assessment of a film that counts now."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.models.choices import Verdict
from diagnosis.models.opinion import Opinion, OpinionContent
from diagnosis.models.reading import Reading


class Review(OpinionContent):
    """The assessment of a reading's film that counts now: the content of the latest `Opinion`.

    It is used to count disagreements between doctors and the model, and to filter lists.

    Attributes:
        opinion: the opinion that it repeats.
        signed_at: None while there is only a first opinion.
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
    opinion = models.ForeignKey(Opinion, on_delete=models.CASCADE, related_name="+")
    signed_at = models.DateTimeField(_("signed at"), null=True, blank=True)
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

    @property
    def is_signed(self) -> bool:
        return self.signed_at is not None

    def worklist_columns(self) -> dict[str, Any]:
        """Return the columns of the reading that say which assessment is recorded.

        The only place that decides which assessment ends a reading's waiting: a signed one.
        """
        done = {"waiting_since": None} if self.is_signed else {}
        return {"own_verdict": self.verdict, **done}
