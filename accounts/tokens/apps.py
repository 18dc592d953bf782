"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TokensConfig(AppConfig):
    """Tokens for programs and devices."""

    name = "accounts.tokens"
    label = "tokens"
    verbose_name = _("Tokens")

    def ready(self) -> None:
        from accounts.tokens import audit

        audit.register()
