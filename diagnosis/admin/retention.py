"""Restoring and purging in the admin: one by one, or purging a selection. Each asks first."""

import uuid
from collections.abc import Callable, Iterable
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
from diagnosis import retention
from diagnosis.models import HidingReason, Reading
from xraysite.common.dates import long_date

MAX_AT_ONCE = 100


class ReasonForm(forms.Form):
    """Why it is done; it goes into the audit log."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("It goes into the audit log, with your name."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


def purge_rule(reading: Reading) -> str:
    """Says whether a reading may be purged, and why or why not."""
    if not reading.is_hidden:
        return _("It is not deleted by its doctor.")
    if reading.hidden_reason == HidingReason.MISTAKE:
        return _("It may be purged now: its doctor says that it was made by mistake.")
    end = long_date(retention.retention_ends(reading))
    if retention.may_be_purged(reading):
        return _("It may be purged now: it was to be kept until %(date)s.") % {"date": end}
    return _("It has to be kept until %(date)s.") % {"date": end}


class RetentionAdmin(admin.ModelAdmin):
    """The pages and the action by which deleted readings come back or go for good."""

    actions = ["purge_selected"]

    def get_urls(self) -> list[URLPattern]:
        def address(verb: str, view: Callable[..., HttpResponse]) -> URLPattern:
            asked = require_http_methods(["GET", "POST"])(view)
            name = f"diagnosis_reading_{verb}"
            return path(f"<uuid:pk>/{verb}/", self.admin_site.admin_view(asked), name=name)

        return [
            address("restore", self.restore_view),
            address("purge", self.purge_view),
            *super().get_urls(),
        ]

    def restore_view(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Asks, and on POST gives a deleted reading back to its doctor."""
        reading = self._hidden_reading(request, pk)
        if reading is None:
            return self._not_deleted(request, pk)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                retention.restore_reading(
                    supervisor=cast(User, request.user),
                    reading_id=pk,
                    reason=form.cleaned_data["reason"],
                )
            except Reading.DoesNotExist:
                return self._not_deleted(request, pk)
            messages.success(request, _("The reading is back with its doctor."))
            return redirect("admin:diagnosis_reading_change", pk)
        record_access(reading, what="admin page")
        context = {"title": _("Restore a deleted reading"), "form": form, "restoring": reading}
        return self._confirmation(request, context | {"reading": reading})

    def purge_view(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Asks, and on POST removes a deleted reading for good."""
        reading = self._hidden_reading(request, pk)
        if reading is None:
            return self._not_deleted(request, pk)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            self._purge(request, [reading], form.cleaned_data["reason"])
            return redirect("admin:diagnosis_reading_changelist")
        record_access(reading, what="admin page")
        context = {"title": _("Purge a reading"), "form": form, "reading": reading}
        return self._confirmation(request, context | _sorted_out([reading]))

    @admin.action(description=gettext_lazy("Purge deleted readings"), permissions=["view"])
    def purge_selected(
        self, request: HttpRequest, chosen: QuerySet[Reading]
    ) -> HttpResponse | None:
        """Shows what would go and what has to stay; asked again with a reason, purges."""
        readings = list(chosen.select_related("doctor", "hidden_by")[: MAX_AT_ONCE + 1])
        if len(readings) > MAX_AT_ONCE:
            said = _("Choose at most %(n)s readings at once.") % {"n": MAX_AT_ONCE}
            messages.error(request, said)
            return None
        confirmed = "confirmed" in request.POST
        form = ReasonForm(request.POST if confirmed else None)
        if confirmed and form.is_valid():
            self._purge(request, readings, form.cleaned_data["reason"])
            return None
        context = {"title": _("Purge deleted readings"), "form": form, "is_selection": True}
        return self._confirmation(request, context | _sorted_out(readings))

    def _purge(self, request: HttpRequest, readings: Iterable[Reading], reason: str) -> None:
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
            said = ngettext("%(n)s reading is purged.", "%(n)s readings are purged.", purged)
            messages.success(request, said % {"n": purged})
        if kept:
            said = ngettext(
                "%(n)s reading could not be purged and is kept.",
                "%(n)s readings could not be purged and are kept.",
                kept,
            )
            messages.warning(request, said % {"n": kept})

    def _hidden_reading(self, request: HttpRequest, pk: uuid.UUID) -> Reading | None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        readings = self.get_queryset(request).select_related("hidden_by")
        reading: Reading = get_object_or_404(readings, pk=pk)
        return reading if reading.is_hidden else None

    def _not_deleted(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        messages.info(request, _("This reading is not deleted."))
        return redirect("admin:diagnosis_reading_change", pk)

    def _confirmation(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        shared = self.admin_site.each_context(request) | {"opts": self.opts, "media": self.media}
        template = "admin/diagnosis/reading/confirm.html"
        return TemplateResponse(request, template, shared | context)


def _sorted_out(readings: list[Reading]) -> dict[str, Any]:
    lines = [(reading, purge_rule(reading)) for reading in readings]
    return {
        "purging": [line for line in lines if retention.may_be_purged(line[0])],
        "keeping": [line for line in lines if not retention.may_be_purged(line[0])],
    }
