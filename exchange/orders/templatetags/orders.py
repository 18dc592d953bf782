"""The `{% order_of_reading %}` tag of a reading's page."""

from typing import Any

from django import template

from diagnosis.models import Reading
from diagnosis.services.patients import ACCESSION_NUMBER, STUDY_UID
from exchange.orders.matching import differences_of
from exchange.orders.models import Order, OrderFilm

register = template.Library()


@register.inclusion_tag("orders/_of_reading.html", takes_context=True)
def order_of_reading(context: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """Show the order that a reading's film arrived for, and where their patients differ.

    Whoever may not see the order learns that there is a difference, but not which.
    """
    stated = reading.film_patient or {}
    if not (stated.get(STUDY_UID) or stated.get(ACCESSION_NUMBER)):
        return {}
    film = OrderFilm.objects.filter(reading=reading.pk).first()
    if film is None:
        return {}
    order = Order.objects.visible_to(context["user"]).filter(pk=film.order_id).first()
    differences = []
    if order is not None:
        film.order, film.reading = order, reading
        differences = differences_of(film)
    return {"order": order, "is_different": bool(film.differences), "differences": differences}
