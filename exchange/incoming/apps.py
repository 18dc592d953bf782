"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IncomingConfig(AppConfig):
    """Films that arrive over the DICOM network, and the rules that route them."""

    name = "exchange.incoming"
    label = "incoming"
    verbose_name = _("X-rays from machines")

    def ready(self) -> None:
        from exchange.incoming import audit

        audit.register()
