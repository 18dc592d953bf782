"""Admin pages and action that restore or purge deleted readings after a confirmation.

`ReadingAdmin` registers `urls` and `purge_selected`.
"""

import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from accounts.audit.recording import record_access
from accounts.models import User
from diagnosis import access_log, retention
from diagnosis.models import HidingReason, Reading
from xraysite.common.dates import long_date
from xraysite.common.forms import ReasonForm

MAX_AT_ONCE = 100


def reason_form(data: Any = None) -> ReasonForm:
    """Return the form for the reason of restoring or purging."""
    return ReasonForm(
        data,
        max_length=300,
        help_text=gettext_lazy("The reason is recorded in the audit log with your name."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


def retention_status(reading: Reading) -> str:
    """Return a sentence on whether a reading may be purged, and why."""
    if not reading.is_hidden:
        return _("The doctor has not deleted this reading.")
    if reading.hidden_reason == HidingReason.MISTAKE:
        return _("It may be purged now: the doctor deleted it as created by mistake.")
    end = long_date(retention.retention_ends(reading))
    if retention.may_be_purged(reading):
        return _("It may be purged now: the retention period ended on %(date)s.") % {"date": end}
    return _("It must be kept until %(date)s.") % {"date": end}


def urls(model_admin: admin.ModelAdmin) -> list[URLPattern]:
    """Return the URL patterns of the pages that restore and purge one reading."""

    def page(verb: str, view: Callable[..., HttpResponse]) -> URLPattern:
        view = require_http_methods(["GET", "POST"])(partial(view, model_admin))
        name = f"diagnosis_reading_{verb}"
        return path(f"<uuid:pk>/{verb}/", model_admin.admin_site.admin_view(view), name=name)

    return [page("restore", restore_view), page("purge", purge_view)]


def restore_view(
    model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID
) -> HttpResponse:
    """Ask for a reason, and on POST restore a deleted reading to its doctor."""
    reading = _hidden_reading(model_admin, request, pk)
    if reading is None:
        return _not_deleted(request, pk)
    form = reason_form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            retention.restore_reading(
                supervisor=cast(User, request.user),
                reading_id=pk,
                reason=form.cleaned_data["reason"],
            )
        except Reading.DoesNotExist:
            return _not_deleted(request, pk)
        messages.success(request, _("The reading has been restored to its doctor."))
        return redirect("admin:diagnosis_reading_change", pk)
    record_access(reading, what="admin page")
    context = {"title": _("Restore a deleted reading"), "form": form, "restoring": reading}
    return _confirmation(model_admin, request, context | {"reading": reading})


def purge_view(model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask for a reason, and on POST purge a deleted reading."""
    reading = _hidden_reading(model_admin, request, pk)
    if reading is None:
        return _not_deleted(request, pk)
    form = reason_form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        _purge(request, [reading], form.cleaned_data["reason"])
        return redirect("admin:diagnosis_reading_changelist")
    record_access(reading, what="admin page")
    context = {"title": _("Purge a reading"), "form": form, "reading": reading}
    return _confirmation(model_admin, request, context | _by_retention([reading]))


@admin.action(description=gettext_lazy("Purge deleted readings"), permissions=["view"])
def purge_selected(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Reading]
) -> HttpResponse | None:
    """Show which readings can be purged and ask for a reason; once confirmed, purge them.

    Readings that are not deleted are only counted: the page names no patient without need.
    """
    readings = list(queryset.select_related("doctor", "hidden_by")[: MAX_AT_ONCE + 1])
    if len(readings) > MAX_AT_ONCE:
        text = _("Select at most %(n)s readings at a time.") % {"n": MAX_AT_ONCE}
        messages.error(request, text)
        return None
    confirmed = "confirmed" in request.POST
    form = reason_form(request.POST if confirmed else None)
    if confirmed and form.is_valid():
        _purge(request, readings, form.cleaned_data["reason"])
        return None
    deleted = [reading for reading in readings if reading.is_hidden]
    access_log.record_list(deleted, what="purge-selection")
    context = {"title": _("Purge deleted readings"), "form": form, "is_selection": True}
    context |= {"not_deleted": len(readings) - len(deleted)}
    return _confirmation(model_admin, request, context | _by_retention(deleted))


def _purge(request: HttpRequest, readings: Iterable[Reading], reason: str) -> None:
    purged = kept = 0
    for reading in readings:
        try:
            retention.purge_reading(
                supervisor=cast(User, request.user), reading_id=reading.pk, reason=reason
            )
            purged += 1
        except (Reading.DoesNotExist, retention.NotPurgeableError):
            kept += 1
    if purged:
        text = ngettext("%(n)s reading was purged.", "%(n)s readings were purged.", purged)
        messages.success(request, text % {"n": purged})
    if kept:
        text = ngettext(
            "%(n)s reading cannot be purged and was kept.",
            "%(n)s readings cannot be purged and were kept.",
            kept,
        )
        messages.warning(request, text % {"n": kept})


def _hidden_reading(
    model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID
) -> Reading | None:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    readings = model_admin.get_queryset(request).select_related("hidden_by")
    reading: Reading = get_object_or_404(readings, pk=pk)
    return reading if reading.is_hidden else None


def _not_deleted(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    messages.info(request, _("This reading is not deleted."))
    return redirect("admin:diagnosis_reading_change", pk)


def _confirmation(
    model_admin: admin.ModelAdmin, request: HttpRequest, context: dict[str, Any]
) -> HttpResponse:
    shared = model_admin.admin_site.each_context(request)
    shared |= {"opts": model_admin.opts, "media": model_admin.media}
    template = "admin/diagnosis/reading/confirm.html"
    return TemplateResponse(request, template, shared | context)


def _by_retention(readings: list[Reading]) -> dict[str, Any]:
    """Return (reading, `retention_status`) pairs: `purging` may be purged, `keeping` may not."""
    pairs = [(reading, retention_status(reading)) for reading in readings]
    return {
        "purging": [pair for pair in pairs if retention.may_be_purged(pair[0])],
        "keeping": [pair for pair in pairs if not retention.may_be_purged(pair[0])],
    }
