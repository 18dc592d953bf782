"""The audit events of results that are sent."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from exchange.outgoing.models import Target

EVENTS = {
    "result-sent": _("sent a DICOM object of the result to another system"),
    "result-retried": _("queued the result to be sent again"),
    "result-cancelled": _("cancelled the sending of the result"),
    "result-settled": _("noted that another system's objects are dealt with"),
    "dicom-downloaded": _("downloaded the DICOM objects of the result"),
    "target-tried": _("tested the connection to another system"),
}


def register() -> None:
    """Register the events and the recorded model of this app."""
    registry.register(EVENTS)
    auditlog.register(Target, m2m_fields={"teams"})
