"""The list of orders: its filters, and pages of it."""

import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import QueryDict
from django.utils import timezone

from exchange.orders.forms import Period
from exchange.orders.models import Order, OrderFilm, OrderState
from xraysite.common.paging import BoundedPaginator

PER_PAGE = 50


def filtered(user: Any, query: QueryDict) -> tuple[QuerySet[Order], Period]:
    """Return the orders that a page of the list shows, and the form with its filters.

    Args:
        user: who sees them.
        query: the request's parameters; of unknown values, the filter is ignored.
    """
    data = query.copy()
    data.setdefault("period", Period.LATER)
    form = Period(data)
    form.is_valid()
    chosen = form.cleaned_data
    orders = Order.objects.visible_to(user)
    if chosen.get("state"):
        orders = orders.filter(state=chosen["state"])
    orders = in_period(orders, chosen.get("period", ""))
    if chosen.get("q"):
        orders = orders.about(chosen["q"])
    if chosen.get("differs"):
        others = OrderFilm.objects.filter(order=OuterRef("pk")).exclude(differences=[])
        orders = orders.filter(Exists(others)).exclude(state=OrderState.CANCELLED)
    backwards = chosen.get("period") in (Period.EARLIER, Period.ALL)
    order = ("-scheduled_at", "-id") if backwards else ("scheduled_at", "id")
    return orders.order_by(*order), form


def in_period(orders: Any, period: str) -> Any:
    """Return the orders that are scheduled in a period, in days of the active time zone."""
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    day = datetime.timedelta(days=1)
    if period == Period.TODAY:
        return orders.filter(scheduled_at__gte=today, scheduled_at__lt=today + day)
    if period == Period.WEEK:
        return orders.filter(scheduled_at__gte=today, scheduled_at__lt=today + 7 * day)
    if period == Period.LATER:
        return orders.filter(scheduled_at__gte=today)
    if period == Period.EARLIER:
        return orders.filter(scheduled_at__lt=today)
    return orders


def page_of(orders: QuerySet[Order], number: Any) -> Any:
    """Return a page of orders with what its rows show."""
    rows = orders.select_related("doctor", "team").prefetch_related("films", "steps")
    return BoundedPaginator(rows, PER_PAGE).get_page(number)
