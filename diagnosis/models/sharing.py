"""Cases shared from readings on the discussion board."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.models.reading import Reading


class SharedCase(models.Model):
    """A de-identified image of a reading's film on the discussion board.

    The board stores no reference to the reading: this row is the only link between the two.
    """

    reading = models.ForeignKey(
        Reading,
        on_delete=models.CASCADE,
        related_name="shared_cases",
        verbose_name=_("reading"),
    )
    picture_id = models.UUIDField(_("image"), unique=True)
    url = models.CharField(_("URL of the post"), max_length=200)
    created_at = models.DateTimeField(_("shared at"), auto_now_add=True)
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)

    class Meta:
        verbose_name = _("shared case")
        verbose_name_plural = _("shared cases")
        default_permissions = ()
        ordering: ClassVar = ["-created_at", "-id"]

    def __str__(self) -> str:
        return str(self.picture_id)

    @property
    def is_withdrawn(self) -> bool:
        return self.withdrawn_at is not None
