"""What the hospital's sign-in provider has decided about accounts."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class ProviderGrant(models.Model):
    """What an account has from the provider, which the provider may take away again."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="provider_grant"
    )
    roles: Any = models.JSONField(_("roles from the provider"), default=list)
    has_approved = models.BooleanField(_("approved by the provider"), default=False)

    def __str__(self) -> str:
        return f"{self.user_id}: {', '.join(self.roles)}"


class ConnectionRequest(models.Model):
    """A person whom the provider knows, and who asks to use an existing account."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="connection_requests"
    )
    provider = models.CharField(_("provider"), max_length=200)
    uid = models.CharField(_("identifier at the provider"), max_length=191)
    name = models.CharField(_("name at the provider"), max_length=200, blank=True)
    email_verified = models.BooleanField(_("email address verified by the provider"), default=False)
    last_asked_at = models.DateTimeField(_("last asked"), auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("user", "provider", "uid", name="sso_request_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"
