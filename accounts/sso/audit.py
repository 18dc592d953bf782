"""The audit events of signing in with the hospital's account."""

from django.utils.translation import gettext_lazy as _

from accounts.audit import registry

EVENTS = {
    "sign-in-by-provider": _("signed in with the hospital's account"),
    "sign-in-by-provider-failed": _("failed to sign in with the hospital's account"),
    "roles-from-provider": _("roles changed by the hospital's account"),
    "approved-by-provider": _("account approved by the hospital's groups"),
    "approval-withdrawn": _("approval withdrawn by the hospital's groups"),
    "connection-asked": _("asked to connect the hospital's account"),
    "connected": _("connected the hospital's account"),
    "disconnected": _("disconnected the hospital's account"),
}


def register() -> None:
    registry.register(EVENTS)
