"""The audit events of tokens."""

from django.utils.translation import gettext_lazy as _

from accounts.audit import registry

EVENTS = {
    "token-made": _("made a token for a program"),
    "token-revoked": _("revoked a token"),
    "token-refused": _("was refused with a token"),
}


def register() -> None:
    """Register the events of this app."""
    registry.register(EVENTS)
