"""The audit events of exports without identifiers."""

from django.utils.translation import gettext_lazy as _

from accounts.audit import registry

EVENTS = {"deidentified": _("exported the X-ray without identifiers")}


def register() -> None:
    """Register the events of this app."""
    registry.register(EVENTS)
