"""The audit events of the API; what pages do as well is recorded as there."""

from django.utils.translation import gettext_lazy as _

from accounts.audit import registry

EVENTS = {"api-reading": _("fetched the reading with a program")}


def register() -> None:
    """Register the events of this app."""
    registry.register(EVENTS)
