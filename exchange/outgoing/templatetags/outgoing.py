"""What the reading's page shows about other systems."""

from typing import Any

from django import template

from diagnosis.models import Reading
from exchange.outgoing.models import Delivery

register = template.Library()
SHOWN = 10


@register.inclusion_tag("outgoing/_deliveries.html")
def deliveries(reading: Reading) -> dict[str, Any]:
    """List the latest delivery to each system that has the reading's result, or is to have it."""
    shown = [Delivery.State.SENT, Delivery.State.WAITING, Delivery.State.SENDING]
    rows = Delivery.objects.filter(reading_id=reading.pk, state__in=shown)
    latest: dict[int, Delivery] = {}
    for delivery in rows.select_related("target").order_by("-created_at", "-id")[: 5 * SHOWN]:
        latest.setdefault(delivery.target_id, delivery)
    return {"deliveries": list(latest.values())[:SHOWN]}
