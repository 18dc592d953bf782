"""The supervisors' admin of FHIR servers and of what was sent to them."""

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from exchange.fhir.models import FhirDelivery, FhirServer
from exchange.fhir.services import may_handle, retry
from xraysite.common.admin import ReadOnlyAdmin
from xraysite.common.paging import BoundedPaginator


@admin.register(FhirServer)
class FhirServerAdmin(admin.ModelAdmin):
    """Servers are switched off, never deleted: deliveries name them."""

    list_display = ["name", "url", "when", "is_enabled"]
    list_filter = ["is_enabled"]
    fieldsets = [
        (None, {"fields": ["name", "is_enabled", "url", "token_name"]}),
        (
            _("Which results"),
            {"fields": ["when", "sends_unsure", "sends_out_of_scope", "sends_document"]},
        ),
    ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_handle(cast(User, request.user))

    has_module_permission = has_view_permission
    has_add_permission = has_view_permission
    has_change_permission = has_view_permission

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(FhirDelivery)
class FhirDeliveryAdmin(ReadOnlyAdmin):
    """What was and is to be sent, the latest first. It names readings, not patients."""

    list_display = ["reading_link", "server", "state", "changed_at", "sent_at", "attempts", "why"]
    list_filter = ["state", "server"]
    list_select_related = ["server"]
    list_per_page = 50
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ["-changed_at", "-id"]
    actions = ["send_now"]
    fields = ["reading_link", "server", "state", "is_retracted", "version", "changed_at", "due_at",
              "attempts", "sent_at", "why"]  # fmt: skip

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_handle(cast(User, request.user))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @admin.action(description=_("Send now"))
    def send_now(self, request: HttpRequest, chosen: QuerySet[FhirDelivery]) -> None:
        keys = list(chosen.values_list("pk", flat=True))
        done = retry(supervisor=cast(User, request.user), delivery_ids=keys)
        words = ngettext("%(n)s result is sent.", "%(n)s results are sent.", done)
        messages.success(request, words % {"n": done})

    @admin.display(description=_("reading"))
    def reading_link(self, delivery: FhirDelivery) -> str:
        url = reverse("admin:diagnosis_reading_change", args=[delivery.reading_id])
        return format_html('<a href="{}">{}</a>', url, str(delivery.reading_id)[:8])

    @admin.display(description=_("last error"))
    def why(self, delivery: FhirDelivery) -> str:
        return gettext(delivery.error) if delivery.error else "–"
