"""Processes that listen for X-rays, and when they last said that they are alive."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Listener(models.Model):
    """A listener that runs, or was killed: it removes its row when it stops.

    Attributes:
        received: X-rays since it started.
    """

    name = models.CharField(max_length=120, primary_key=True)
    ae_title = models.CharField(_("AE title"), max_length=16)
    ports = models.CharField(_("ports"), max_length=40)
    associations = models.PositiveIntegerField(_("open associations"), default=0)
    received = models.PositiveBigIntegerField(_("X-rays received"), default=0)
    started_at = models.DateTimeField(_("started at"))
    seen_at = models.DateTimeField(_("last seen at"), db_index=True)

    class Meta:
        verbose_name = _("listener")
        verbose_name_plural = _("listeners")
        default_permissions = ()
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
