"""The audit events of X-rays from machines."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from exchange.incoming.models import Peer, RoutingRule

EVENTS = {
    "dicom-received": _("received an X-ray from a machine"),
    "dicom-routed": _("sent an X-ray from a machine to a doctor"),
    "dicom-waits": _("moved an X-ray from a machine to the supervisors' inbox"),
    "dicom-kept-out": _("kept out an X-ray from a machine"),
    "dicom-expired": _("deleted an X-ray from a machine that was kept out"),
    "dicom-committed": _("confirmed to a machine that X-rays are stored"),
    "dicom-inbox": _("viewed X-rays from machines that need a supervisor"),
    "dicom-list": _("viewed a list of X-rays from machines"),
    "dicom-page": _("viewed an X-ray from a machine"),
    "dicom-film": _("viewed the film of an X-ray from a machine"),
}


def register() -> None:
    """Register the events and the recorded models of this app."""
    registry.register(EVENTS)
    auditlog.register(Peer)
    auditlog.register(RoutingRule)
