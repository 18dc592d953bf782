"""The supervisors' admin of targets and deliveries."""

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.models import User
from exchange.outgoing import handling
from exchange.outgoing.models import Delivery, Target
from exchange.outgoing.reasons import shown
from exchange.outgoing.texts import object_names
from exchange.outgoing.transport.answers import TransportError
from xraysite.common.admin import ReadOnlyAdmin
from xraysite.common.dates import short_datetime
from xraysite.common.paging import BoundedPaginator


@admin.register(Target)
class TargetAdmin(admin.ModelAdmin):
    """Targets are switched off, never deleted: deliveries name them."""

    list_display = ["name", "way", "where", "when", "is_enabled"]
    list_filter = ["is_enabled", "way"]
    change_form_template = "admin/outgoing/target/change_form.html"
    fieldsets = [
        (None, {"fields": ["name", "is_enabled", "way"]}),
        (
            _("DICOM (C-STORE)"),
            {"fields": ["ae_title", "host", "port", "own_ae_title", "uses_tls"]},
        ),
        (_("DICOMweb (STOW-RS)"), {"fields": ["url", "token_name"]}),
        (
            _("What is sent"),
            {"fields": ["sends_report", "sends_picture", "sends_map", "sends_document"]},
        ),
        (_("Which results"), {"fields": ["when", "sends_unsure", "sends_out_of_scope", "teams"]}),
    ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return handling.may_handle(cast(User, request.user))

    has_module_permission = has_view_permission
    has_add_permission = has_view_permission
    has_change_permission = has_view_permission

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["widget"] = CheckboxSelectMultiple()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = require_http_methods(["GET", "POST"])(self.test_view)
        return [
            path(
                "<int:object_id>/test/",
                self.admin_site.admin_view(view),
                name="outgoing_target_test",
            ),
            *super().get_urls(),
        ]

    def test_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask, and on POST test the connection with the stored settings."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        target = get_object_or_404(Target, pk=object_id)
        if request.method == "POST":
            self._test(request, target)
            return HttpResponseRedirect(reverse("admin:outgoing_target_change", args=[object_id]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("Test the connection?"),
            "target": target,
            "where": self.where(target),
        }
        return TemplateResponse(request, "admin/outgoing/target/test.html", context)

    def _test(self, request: HttpRequest, target: Target) -> None:
        try:
            answer = handling.try_out(supervisor=cast(User, request.user), target=target)
        except TransportError as error:
            words = gettext("The connection does not work: %(reason)s")
            messages.error(request, words % {"reason": error.text})
        else:
            words = gettext("The system answers (%(answer)s).")
            messages.success(request, words % {"answer": answer})

    @admin.display(description=_("address"))
    def where(self, target: Target) -> str:
        if target.way == Target.Way.STOW:
            return target.url
        return f"{target.ae_title} · {target.host}:{target.port}"


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """What was and is to be sent, the latest first. It names readings, not patients."""

    list_display = ["reading_link", "target", "progress", "created_at", "objects", "remarks"]
    list_filter = ["state", "note", "target"]
    list_select_related = ["target"]
    list_per_page = 50
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ["-created_at", "-id"]
    actions = ["retry", "cancel", "settle"]
    fields = ["reading_link", "target", "state", "objects", "uids", "created_at", "next_try",
              "attempts", "finished_at", "reason", "note"]  # fmt: skip
    change_form_template = "admin/tasks/change_form.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return handling.may_handle(cast(User, request.user))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @admin.action(description=_("Send now"))
    def retry(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        done = handling.retry(supervisor=cast(User, request.user), delivery_ids=_keys(chosen))
        words = ngettext("%(n)s result is being sent.", "%(n)s results are being sent.", done)
        messages.success(request, words % {"n": done})

    @admin.action(description=_("Cancel what waits or failed"))
    def cancel(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        done = handling.cancel(supervisor=cast(User, request.user), delivery_ids=_keys(chosen))
        words = ngettext("%(n)s result was cancelled.", "%(n)s results were cancelled.", done)
        messages.success(request, words % {"n": done})

    @admin.action(description=_("Objects were removed there"))
    def settle(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        done = handling.settle(supervisor=cast(User, request.user), delivery_ids=_keys(chosen))
        words = ngettext("%(n)s result was settled.", "%(n)s results were settled.", done)
        messages.success(request, words % {"n": done})

    @admin.display(description=_("reading"))
    def reading_link(self, delivery: Delivery) -> str:
        url = reverse("admin:diagnosis_reading_change", args=[delivery.reading_id])
        return format_html('<a href="{}">{}</a>', url, str(delivery.reading_id)[:8])

    @admin.display(description=pgettext_lazy("delivery", "status"))
    def progress(self, delivery: Delivery) -> str:
        state = delivery.get_state_display()
        if delivery.state != Delivery.State.WAITING or not delivery.attempts:
            return state
        words = ngettext(
            "%(state)s, next try %(when)s after %(n)s try",
            "%(state)s, next try %(when)s after %(n)s tries",
            delivery.attempts,
        )
        when = short_datetime(delivery.due_at)
        return words % {"state": state, "when": when, "n": delivery.attempts}

    @admin.display(description=_("remarks"))
    def remarks(self, delivery: Delivery) -> str:
        """What to do, and the last error."""
        lines = [delivery.get_note_display() if delivery.note else "", self.reason(delivery)]
        return format_html_join("", "<div>{}</div>", ([line] for line in lines if line))

    @admin.display(description=_("objects"))
    def objects(self, delivery: Delivery) -> str:
        return object_names(delivery.sent) or "–"

    @admin.display(description=_("SOP Instance UIDs"))
    def uids(self, delivery: Delivery) -> str:
        return ", ".join(each["uid"] for each in delivery.sent.values()) or "–"

    @admin.display(description=_("next try"))
    def next_try(self, delivery: Delivery) -> Any:
        return delivery.due_at if delivery.state == Delivery.State.WAITING else None

    @admin.display(description=_("last error"))
    def reason(self, delivery: Delivery) -> str:
        return shown(delivery.error)


def _keys(chosen: QuerySet[Delivery]) -> list[Any]:
    return list(chosen.values_list("pk", flat=True))
