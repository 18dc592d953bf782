"""The audit events of the FHIR service and of results sent to FHIR servers."""

from django.utils.translation import gettext_lazy as _

from accounts.audit import registry

EVENTS = {
    "fhir-read": _("read the reading as FHIR resources"),
    "fhir-exported": _("exported the reading as FHIR resources"),
}


def register() -> None:
    """Register the events of this app."""
    registry.register(EVENTS)
