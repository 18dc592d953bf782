"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FhirConfig(AppConfig):
    """FHIR R4: readings as resources of the health record."""

    name = "exchange.fhir"
    label = "fhir"
    verbose_name = _("FHIR")

    def ready(self) -> None:
        from exchange.fhir import audit, queueing
        from xraysite.common.background import recovery

        audit.register()
        queueing.connect()
        recovery.register("results to FHIR servers", queueing.recover)
