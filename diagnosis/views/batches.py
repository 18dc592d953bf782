"""Pages of batches: the list, a batch with its table, the inbox, and what their buttons do."""

import datetime
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views import View

from accounts import account_limits
from diagnosis import access_log, storage
from diagnosis.batches import assigning, ending, running
from diagnosis.batches.reading import team_of
from diagnosis.batches.table_rows import Row, rows_of, shown_values, summaries, summary_of
from diagnosis.forms.readings import BatchItemForm
from diagnosis.forms.teams import FIELD as TEAM
from diagnosis.models import Batch, BatchItem, ItemState
from diagnosis.services import pending
from diagnosis.services.patients import FIELDS
from diagnosis.validators import NOT_NOW, refusal_to_store, validate_film_bytes
from diagnosis.views.readings import DoctorsOnlyMixin
from xraysite.common.csv_export import csv_response

PER_PAGE = 100
BATCHES_PER_PAGE = 20
# Rows may become visible after later ones were sent: transactions end in any order.
OVERLAP = datetime.timedelta(seconds=5)
COLUMNS = ["file", "name", "number", "age", "birth_date", "sex", "exam_date"]
IN_COLUMNS = [
    "patient_name", "patient_number", "patient_age_years", "patient_birth_date", "patient_sex",
    "exam_date",
]  # fmt: skip
SHOWN = {
    "inbox": [ItemState.NEEDS_DATA, ItemState.UNDECIDED],
    "failed": [ItemState.FAILED, ItemState.CANCELLED, ItemState.EXPIRED],
    "done": [ItemState.DONE],
}


class OwnBatchMixin(DoctorsOnlyMixin):
    """Restrict a page to the batch's doctor; everyone else gets 404."""

    kwargs: dict[str, Any]

    def handle_no_permission(self) -> Any:
        if self.kwargs:
            raise Http404
        return super().handle_no_permission()

    def own_batch(self, pk: uuid.UUID) -> Batch:
        batch: Batch | None = Batch.objects.own_of(self.request.user).filter(pk=pk).first()
        if batch is None:
            raise Http404
        return batch

    def own_item(self, pk: uuid.UUID) -> BatchItem:
        items = BatchItem.objects.own_of(self.request.user).select_related("batch", "doctor")
        item: BatchItem | None = items.filter(pk=pk).first()
        if item is None:
            raise Http404
        return item

    def table(self, items: "QuerySet[BatchItem]") -> list[Row]:
        """Return the rows of files, and record which readings they show."""
        rows = rows_of(items, user=self.request.user)
        if shown := [row.reading for row in rows if row.reading is not None]:
            access_log.record_list(shown, what="list")
        return rows


def by_script(request: HttpRequest) -> bool:
    """Return whether a script sent the form."""
    return request.headers.get("X-Requested-With") == "XMLHttpRequest"


class BatchListView(OwnBatchMixin, View):
    """A doctor's batches, newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        batches = Batch.objects.own_of(request.user).defer("patients", "problems")
        page = Paginator(batches, BATCHES_PER_PAGE).get_page(request.GET.get("page"))
        found = summaries(page.object_list)
        inbox = BatchItem.objects.in_inbox_of(request.user)
        context = {
            "page_obj": page,
            "batches": [(batch, found[batch.pk]) for batch in page.object_list],
            "inbox": inbox.count(),
        }
        return render(request, "diagnosis/batch_list.html", context)


class BatchView(OwnBatchMixin, View):
    """A batch: its files, what became of them, and a place to send further ones."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        batch = self.own_batch(pk)
        running.revive()
        ending.settle_made(batch)
        items, show = batch.items.order_by("position"), request.GET.get("show", "")
        if show in SHOWN:
            items = items.filter(state__in=SHOWN[show])
        page = Paginator(items, PER_PAGE).get_page(request.GET.get("page"))
        context = {
            "batch": batch,
            "rows": self.table(page.object_list),  # type: ignore[arg-type]
            "page_obj": page,
            "summary": summary_of(batch),
            "may_retry": batch.items.filter(state=ItemState.FAILED, is_stored=True).exists(),
            "show": show if show in SHOWN else "",
        }
        return render(request, "diagnosis/batch_detail.html", context)


class BatchRowsView(OwnBatchMixin, View):
    """The rows of a batch, those changed since `?after=`, for the script of its page."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        batch = self.own_batch(pk)
        running.revive()
        items = batch.items.order_by("position")
        with suppress(ValueError):
            after = parse_datetime(request.GET.get("after", ""))
            if after is not None and timezone.is_aware(after):
                items = items.filter(changed_at__gte=after - OVERLAP)
        return rows_response(request, batch, self.table(items))


def rows_response(request: HttpRequest, batch: Batch | None, rows: list[Row]) -> HttpResponse:
    """Respond with rows alone, and with the summary of their batch."""
    context = {
        "batch": batch,
        "rows": rows,
        "summary": summary_of(batch) if batch is not None else None,
    }
    return render(request, "diagnosis/_batch_rows.html", context)


class InboxView(OwnBatchMixin, View):
    """The files of all batches that wait for patient data or a decision."""

    def get(self, request: HttpRequest) -> HttpResponse:
        items = BatchItem.objects.in_inbox_of(request.user).order_by("changed_at", "pk")
        page = Paginator(items, PER_PAGE).get_page(request.GET.get("page"))
        rows = self.table(page.object_list)  # type: ignore[arg-type]
        context = {"rows": rows, "page_obj": page, "ending": sum(row.is_ending for row in rows)}
        return render(request, "diagnosis/batch_inbox.html", context)


class PatientsView(OwnBatchMixin, View):
    """Save what was typed in the table, and let complete files be read."""

    def post(self, request: HttpRequest) -> HttpResponse:
        only = request.POST.get("only", "")
        items = self._items([only] if only else None)
        changed, queued = [], 0
        for item in items:
            fields = {name: request.POST.get(f"{item.pk}-{name}", "") for name in FIELDS}
            if not self._is_to_be_saved(item, fields, asked=bool(only)):
                continue
            try:
                saved = assigning.enter_patient(
                    doctor=request.user,  # type: ignore[arg-type]
                    item_id=item.pk,
                    fields=fields,
                )
            except BatchItem.DoesNotExist:
                continue
            changed.append(item.pk)
            queued += saved.state == ItemState.WAITING
        if by_script(request):
            chosen = BatchItem.objects.own_of(request.user).filter(pk__in=changed)
            rows = self.table(chosen.order_by("position"))
            return rows_response(request, None, rows)
        self._say(queued)
        return back(request)

    def _items(self, only: list[str] | None) -> Iterable[BatchItem]:
        """Return the files that the form has inputs of."""
        keys = {name.rpartition("-")[0] for name in self.request.POST if name.count("-") == 5}
        wanted = [key for key in map(_uuid, only or keys) if key is not None]
        return list(BatchItem.objects.own_of(self.request.user).filter(pk__in=wanted))

    @staticmethod
    def _is_to_be_saved(item: BatchItem, fields: dict[str, str], *, asked: bool) -> bool:
        """Leave out files that nobody has typed anything about, unless they are complete."""
        if item.state not in (ItemState.NEEDS_DATA, ItemState.UNDECIDED):
            return False
        if asked or fields != shown_values(item):
            return True
        is_valid = BatchItemForm(fields, stated=item.stated or {}).is_valid()
        return item.state == ItemState.NEEDS_DATA and is_valid

    def _say(self, queued: int) -> None:
        text = ngettext(
            "%(count)d X-ray is being read.", "%(count)d X-rays are being read.", queued
        )
        messages.success(self.request, text % {"count": queued} if queued else _("Saved."))


def back(request: HttpRequest) -> HttpResponse:
    """Redirect to the batch that the form names, or to the inbox."""
    key = _uuid(request.POST.get("batch", ""))
    return redirect("readings:batch", key) if key else redirect("readings:inbox")


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


class ItemView(OwnBatchMixin, View):
    """Remove a file, try it again, or go to the page that asks for the doctor's decisions."""

    def post(self, request: HttpRequest, item: uuid.UUID, action: str) -> HttpResponse:
        found = self.own_item(item)
        if action not in ("decide", "remove", "retry"):
            raise Http404
        if action == "decide":
            return self._decide(request, found)
        try:
            if action == "remove":
                ending.remove_item(doctor=request.user, item_id=item)  # type: ignore[arg-type]
            else:
                ending.retry(doctor=request.user, item_ids=[item])  # type: ignore[arg-type]
        except BatchItem.DoesNotExist:
            messages.info(request, _("This file is being read or was read. It stays."))
        if by_script(request):
            rows = self.table(BatchItem.objects.own_of(request.user).filter(pk=item))
            return rows_response(request, None, rows)
        return back(request)

    def _decide(self, request: HttpRequest, item: BatchItem) -> HttpResponse:
        """Hand the file to the page that asks for decisions, as a single upload would be."""
        form = BatchItemForm(item.entered, stated=item.stated or {})
        data = storage.read(storage.batch_name(item.doctor_id, item.pk))
        if item.state != ItemState.UNDECIDED or data is None or not form.is_valid():
            return redirect(item.batch)
        team = team_of(item)
        try:
            pending.keep(
                doctor=request.user,  # type: ignore[arg-type]
                submission=item.pk,
                upload=validate_film_bytes(data, item.path),
                fields=form.entered() | {TEAM: str(team.pk) if team else ""},
            )
        except ValidationError as error:
            text = " ".join(map(str, error.messages))
            messages.error(request, text if error.code in NOT_NOW else _("Try again."))
            return redirect(item.batch)
        except OSError as error:
            messages.error(request, " ".join(map(str, refusal_to_store(error).messages)))
            return redirect(item.batch)
        return redirect("readings:check", item.pk)


class CancelBatchView(OwnBatchMixin, View):
    """Stop what has not been read; ask first, for browsers without a script too."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        batch = self.own_batch(pk)
        context = {"batch": batch, "summary": summary_of(batch)}
        return render(request, "diagnosis/batch_confirm_cancel.html", context)

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        self.own_batch(pk)
        stopped = ending.cancel_batch(doctor=request.user, batch_id=pk)  # type: ignore[arg-type]
        text = ngettext(
            "Cancelled. %(count)d X-ray was not read and is no longer on the server.",
            "Cancelled. %(count)d X-rays were not read and are no longer on the server.",
            stopped,
        )
        messages.success(request, text % {"count": stopped})
        return redirect("readings:batch", pk)


class RetryBatchView(OwnBatchMixin, View):
    """Try every file of the batch again that could not be read."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        items = self.own_batch(pk).items.filter(is_stored=True)
        keys = list(items.values_list("pk", flat=True))
        ending.retry(doctor=request.user, item_ids=keys)  # type: ignore[arg-type]
        return redirect("readings:batch", pk)


class TableView(OwnBatchMixin, View):
    """A CSV file to fill in: of a batch's files without patient data, or an empty one."""

    def get(self, request: HttpRequest, pk: uuid.UUID | None = None) -> HttpResponseBase:
        if pk is None:
            example = ["IM-0001.png", _("Chen Wei-Lun"), "A123", "3", "", "M", "2026-01-31"]
            return csv_response("patients.csv", COLUMNS, [example])
        items = self.own_batch(pk).items.filter(state=ItemState.NEEDS_DATA)
        rows = []
        for item in items.order_by("position"):
            values = shown_values(item)
            rows.append([item.path, *(values[name] for name in IN_COLUMNS)])
        return csv_response("patients.csv", COLUMNS, rows)


def limit_reached(error: account_limits.TooManyError) -> JsonResponse:
    """Respond that the doctor has to wait, and for how long."""
    wait = max(1, round(error.seconds))
    response = JsonResponse({"error": str(error), "retry_after": wait}, status=429)
    response["Retry-After"] = str(wait)
    return response


def urls_of(batch: Batch) -> dict[str, str]:
    """Return the addresses that the script of the page needs."""
    names = {"files": "batch_files", "known": "batch_known", "finish": "batch_finish",
             "rows": "batch_rows", "page": "batch"}  # fmt: skip
    return {key: reverse(f"readings:{name}", args=[batch.pk]) for key, name in names.items()}
