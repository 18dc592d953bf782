"""The database model of registered models."""

from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


def bundle_roots() -> tuple[Path, Path]:
    """Return the folders of locally trained and of shipped bundles."""
    return Path(settings.BUNDLE_DIR), Path(settings.SHIPPED_BUNDLE_DIR)


def bundle_folder(path: str) -> Path:
    """Return the absolute folder of a bundle.

    Args:
        path: the bundle's name, or an absolute path, which is returned unchanged.

    Returns:
        The folder of the locally trained bundle, otherwise of the shipped one. If neither exists,
        the folder that training would write to.
    """
    trained, shipped = (root / path for root in bundle_roots())
    return shipped if shipped.exists() and not trained.exists() else trained


class ModelVersion(models.Model):
    """A registered bundle. At most one is active."""

    name = models.CharField(pgettext_lazy("model", "name"), max_length=100, unique=True)
    bundle_sha256 = models.CharField(_("bundle SHA-256"), max_length=64)
    path = models.CharField(
        _("folder"),
        max_length=500,
        help_text=_("Relative to the folder of bundles, unless absolute."),
    )
    card = models.JSONField(_("model card"))
    is_active = models.BooleanField(_("active"), default=False)
    set_aside_reason = models.TextField(_("reason for setting it aside"), blank=True)
    created_at = models.DateTimeField(_("registered at"), auto_now_add=True)
    activated_at = models.DateTimeField(_("last activated at"), null=True, blank=True)

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering: ClassVar = ["-is_active", "-created_at"]
        permissions: ClassVar = [("activate_modelversion", "Can choose the model that reads films")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["is_active"],
                condition=models.Q(is_active=True),
                name="mlcore_one_active_model",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("models:detail", args=[self.name])

    @property
    def folder(self) -> Path:
        """The bundle's absolute folder."""
        return bundle_folder(self.path)
