"""A token: who it acts for, what it may do, and until when."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# By scope, what it permits, as the page that makes a token says it.
SCOPES = {
    "readings:read": _("see readings and X-rays"),
    "readings:write": _("send X-rays, correct and delete readings"),
    "patients:read": _("see patients"),
    "reviews:read": _("see doctors' opinions"),
    "reviews:write": _("write drafts of opinions"),
    "models:read": _("see model cards"),
    "dicomweb:read": _("search and fetch X-rays by DICOMweb"),
    "dicomweb:write": _("store X-rays by DICOMweb"),
    "fhir:read": _("see readings as FHIR resources"),
}


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Queries on tokens."""

    def usable(self) -> "ApiTokenQuerySet":
        """Return the tokens that are neither expired nor revoked."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())


class ApiToken(models.Model):
    """The access of a program or a device to an account's data.

    Only a keyed hash of the token is stored; the token itself is shown once, when it is made.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="tokens",
        verbose_name=_("account"),
    )
    name = models.CharField(_("program or device"), max_length=80)
    scopes = models.JSONField(_("scopes"))
    digest = models.CharField(_("hash of the token"), max_length=64, unique=True, editable=False)
    hint = models.CharField(_("last characters"), max_length=4, editable=False)
    created_at = models.DateTimeField(_("made at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"))
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(
        _("last used from"), null=True, blank=True, editable=False
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("revoked by"),
    )

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")
        default_permissions = ("view",)
        ordering: ClassVar[list[Any]] = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})"

    @property
    def is_usable(self) -> bool:
        """Whether the token is neither expired nor revoked."""
        return self.revoked_at is None and self.expires_at > timezone.now()

    def has_scope(self, scope: str) -> bool:
        return scope in self.scopes
