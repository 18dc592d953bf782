"""The audit events of orders."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from exchange.orders.models import Order

EVENTS = {
    "orders-list": _("viewed a list of orders"),
    "order-page": _("viewed the order"),
    "order-created": _("entered the order"),
    "order-changed": _("changed the order"),
    "order-cancelled": _("cancelled the order"),
    "order-reopened": _("scheduled the order again"),
    "order-performed": _("received an X-ray for the order"),
    "order-unlinked": _("removed an X-ray from the order"),
    "order-deleted": _("deleted the order"),
    "order-denied": _("was refused access to the order"),
    "orders-imported": _("entered orders from a CSV file"),
    "worklist-queried": _("received a worklist for an X-ray machine"),
    "worklist-refused": _("was refused the worklist for X-ray machines"),
    "order-step-begun": _("began the X-ray of the order on the machine"),
    "order-step-ended": _("ended the X-ray of the order on the machine"),
}


def register() -> None:
    """Register the events and the recorded models of this app."""
    registry.register(EVENTS, always=["orders.order"])
    auditlog.register(Order, exclude_fields=["updated_at", "search_text"])
