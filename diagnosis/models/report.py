"""The numbered copies of reports."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.models.reading import Reading


class ReportIssue(models.Model):
    """One copy of a reading's report, as a PDF that somebody was given.

    The first copy has number 1; every later one says on its page that it is a reprint. `sha256`
    tells whether a file is that copy, unaltered.
    """

    reading = models.ForeignKey(
        Reading, on_delete=models.CASCADE, related_name="reports", verbose_name=_("reading")
    )
    number = models.PositiveIntegerField(_("number of the copy"))
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("issued to"),
    )
    issued_at = models.DateTimeField(_("issued at"), default=timezone.now)
    language = models.CharField(_("language"), max_length=10)
    with_map = models.BooleanField(_("with the heatmap"))
    sha256 = models.CharField(_("SHA-256 of the file"), max_length=64)

    class Meta:
        verbose_name = _("copy of a report")
        verbose_name_plural = _("copies of reports")
        default_permissions = ()
        ordering: ClassVar = ["-issued_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["reading", "number"], name="report_number_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.reading_id} {self.number}"
