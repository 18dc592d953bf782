"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DeidentifyConfig(AppConfig):
    """Export of films and readings without identifiers."""

    name = "exchange.deidentify"
    label = "deidentify"
    verbose_name = _("De-identified export")

    def ready(self) -> None:
        from exchange.deidentify import audit

        audit.register()
