"""Pages of orders: their list, an order, the form, and entering many from a CSV file."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views import View

from accounts.audit.recording import record_access, record_event, record_shown
from diagnosis import access_log
from diagnosis.models import Reading
from exchange.orders import csv_files, lists, services
from exchange.orders.csv_files import HEADINGS
from exchange.orders.forms import OrderForm, recipients_by_key
from exchange.orders.matching import differences_of
from exchange.orders.models import Order
from xraysite.common import private_search
from xraysite.common.csv_export import csv_response
from xraysite.common.file_names import display_name
from xraysite.common.private_search import query_string


class OrdersMixin(View):
    """Restrict a page to doctors and supervisors; an order that they may not see is 404."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not services.may_order(request.user):
            if "pk" in kwargs:
                raise self.denied(kwargs["pk"])
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def denied(self, pk: uuid.UUID) -> Http404:
        """Record that an order was asked for which the user may not see; it may not exist."""
        record_event(Order, what="order-denied", about=str(pk), detail={}, key=str(pk))
        return Http404(_("This order does not exist."))

    def order(self, pk: uuid.UUID) -> Order:
        orders = Order.objects.visible_to(self.request.user)
        found: Order | None = (
            orders.select_related("doctor", "team", "created_by").filter(pk=pk).first()
        )
        if found is None:
            raise self.denied(pk)
        return found


@method_decorator(private_search.private_search, name="dispatch")
class OrderListView(OrdersMixin):
    """The orders that the user may see, a page at a time."""

    def get(self, request: HttpRequest) -> HttpResponse:
        orders, form = lists.filtered(request.user, request.GET)
        page = lists.page_of(orders, request.GET.get("page"))
        rows = list(page.object_list)
        if rows:
            record_shown(Order, [order.pk for order in rows], what="orders-list")
        context = {
            "orders": rows,
            "page_obj": page,
            "form": form,
            "is_filtered": bool(request.GET),
            "querystring": query_string(request, without=["page"]),
        }
        return render(request, "orders/order_list.html", context)


class OrderView(OrdersMixin):
    """An order, and what arrived for it."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        order = self.order(pk)
        record_access(order, what="order-page")
        films = list(order.films.all())
        visible = Reading.objects.visible_to(request.user).defer("activation_map")
        keys = [film.reading_id for film in films]
        readings = {reading.pk: reading for reading in visible.filter(pk__in=keys)}
        shown = []
        for film in films:
            film.order, reading = order, readings.get(film.reading_id)
            if reading is not None:
                film.reading = reading
            shown.append((film, reading, differences_of(film) if reading is not None else []))
        if different := [reading for _film, reading, found in shown if reading and found]:
            access_log.record_list(different, what="list")
        context = {"order": order, "films": shown, "steps": list(order.steps.all())}
        return render(request, "orders/order_detail.html", context)


class NewOrderView(OrdersMixin):
    """Enter an order."""

    def get(self, request: HttpRequest) -> HttpResponse:
        form = OrderForm(user=request.user)  # type: ignore[arg-type]
        return render(request, "orders/order_form.html", {"form": form})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = OrderForm(request.POST, user=request.user)  # type: ignore[arg-type]
        if form.is_valid():
            try:
                order = services.enter_order(by=request.user, fields=form.entered())  # type: ignore[arg-type]
            except IntegrityError:  # another order took the number at the same moment
                form.add_error("accession_number", _("Another order has this accession number."))
            else:
                messages.success(request, _("Order entered. X-ray machines see it now."))
                return redirect(order)
        return render(request, "orders/order_form.html", {"form": form})


class EditOrderView(OrdersMixin):
    """Change an order that has not been performed."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        order = self.order(pk)
        if not order.is_scheduled:
            return self._closed(request, order)
        record_access(order, what="order-page")
        form = OrderForm(instance=order, user=request.user)  # type: ignore[arg-type]
        return render(request, "orders/order_form.html", {"form": form, "order": order})

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        order = self.order(pk)
        form = OrderForm(request.POST, instance=order, user=request.user)  # type: ignore[arg-type]
        if form.is_valid():
            try:
                services.change_order(by=request.user, order_id=pk, fields=form.entered())  # type: ignore[arg-type]
            except services.OrderClosedError:
                return self._closed(request, order)
            except IntegrityError:
                form.add_error("accession_number", _("Another order has this accession number."))
            else:
                messages.success(request, _("Your changes have been saved."))
                return redirect(order)
        return render(request, "orders/order_form.html", {"form": form, "order": order})

    def _closed(self, request: HttpRequest, order: Order) -> HttpResponse:
        text = _("This order cannot be changed: it has been performed or cancelled.")
        messages.info(request, text)
        return redirect(order)


class OrderActionView(OrdersMixin):
    """Cancel an order, or schedule a cancelled one again."""

    action = ""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Redirect to the order, so that the address can be reloaded."""
        return redirect(self.order(pk))

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        order = self.order(pk)
        try:
            if self.action == "cancel":
                services.cancel_order(by=request.user, order_id=pk)  # type: ignore[arg-type]
                undo = reverse("orders:reopen", args=[pk])
                text = _("Order cancelled. X-ray machines no longer see it.")
                messages.success(request, text, extra_tags=undo)
            else:
                services.reopen_order(by=request.user, order_id=pk)  # type: ignore[arg-type]
                messages.success(request, _("The order is scheduled again."))
        except services.OrderClosedError:
            messages.info(request, _("An X-ray has arrived for this order, so it stays performed."))
        return redirect(order)


class UnlinkFilmView(OrdersMixin):
    """State that a film does not belong to the order."""

    def get(self, request: HttpRequest, pk: uuid.UUID, film: int) -> HttpResponse:
        """Redirect to the order, so that the address can be reloaded."""
        return redirect(self.order(pk))

    def post(self, request: HttpRequest, pk: uuid.UUID, film: int) -> HttpResponse:
        order = self.order(pk)
        found = order.films.filter(pk=film)
        if found.exists():
            order = services.unlink_film(by=request.user, order_id=pk, film_id=film)  # type: ignore[arg-type]
            text = _("The X-ray no longer belongs to this order. The reading stays as it is.")
            messages.success(request, text)
        return redirect(order)


class ImportView(OrdersMixin):
    """Enter the orders of a CSV file: look at every line first, then enter all or none."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        name = display_name(request.POST.get("file_name", "")) or "orders.csv"
        if "content" in request.POST:
            text: str | None = request.POST["content"]
        else:
            upload = request.FILES.get("file")
            if upload is None:
                return self._page(request, problem=_("Choose a CSV file."))
            name = display_name(upload.name or "") or name
            size = upload.size or 0
            text = csv_files.text_of(upload.read()) if size <= csv_files.MAX_BYTES else None
        if text is None:
            return self._page(request, problem=csv_files.unreadable())
        sheet = csv_files.read_sheet(text, user=request.user)  # type: ignore[arg-type]
        checked = not sheet.doubtful or "checked" in request.POST
        if "content" in request.POST and sheet.is_complete and checked:
            return self._enter(request, sheet, text, name)
        problem = ""
        if "content" in request.POST and sheet.is_complete:
            problem = _("Check the marked numbers first, and tick the box.")
        return self._page(request, sheet=sheet, content=text, name=name, problem=problem)

    def _enter(
        self, request: HttpRequest, sheet: csv_files.Sheet, text: str, name: str
    ) -> HttpResponse:
        rows = [line.form.entered() for line in sheet.lines]
        try:
            entered = services.enter_orders(by=request.user, rows=rows, file=name)  # type: ignore[arg-type]
        except IntegrityError:
            problem = _("Nothing was entered: an accession number has been taken. Try again.")
            return self._page(request, sheet=sheet, content=text, name=name, problem=problem)
        count = len(entered)
        said = ngettext("%(count)d order entered.", "%(count)d orders entered.", count)
        messages.success(request, said % {"count": count})
        return redirect(f"{reverse('orders:list')}?period=all&state=SCHEDULED")

    def _page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        context["max_lines"] = csv_files.MAX_LINES
        return render(request, "orders/order_import.html", context)


class TemplateView(OrdersMixin):
    """A CSV file to fill in, with an example."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        recipients = list(recipients_by_key(request.user).values())  # type: ignore[arg-type]
        one = recipients[0] if recipients else None
        recipient = getattr(one, "email", None) or getattr(one, "name", "")
        example = [
            "A123", "陳^威倫", "Chen, Wei-Lun", "", "2023-05-01", "M", _("Chest X-ray, frontal"),
            "CHEST", "DX", "2026-12-31", "09:30", "", "", recipient, "",
        ]  # fmt: skip
        return csv_response("orders.csv", list(HEADINGS), [example])
