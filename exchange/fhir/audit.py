"""The audit events of the FHIR service and of results sent to FHIR servers."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from exchange.fhir.models import FhirServer

EVENTS = {
    "fhir-read": _("read the reading as FHIR resources"),
    "fhir-exported": _("exported the reading as FHIR resources"),
    "fhir-sent": _("sent the reading to a FHIR server"),
    "fhir-retracted": _("told a FHIR server that the reading was deleted"),
    "fhir-retried": _("queued the reading to be sent to a FHIR server again"),
}


def register() -> None:
    """Register the events and the recorded model of this app."""
    registry.register(EVENTS)
    auditlog.register(FhirServer)
