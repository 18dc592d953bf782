"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DicomwebConfig(AppConfig):
    """DICOMweb: films and results for viewers and archives, and films from them."""

    name = "exchange.dicomweb"
    label = "dicomweb"
    verbose_name = _("DICOMweb")

    def ready(self) -> None:
        from exchange.dicomweb import audit, signals

        audit.register()
        signals.connect()
