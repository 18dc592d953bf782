"""The supervisors' admin of patients: search, merge, split and undo."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.audit.recording import record_shown
from diagnosis.admin import patient_moves
from diagnosis.models import Patient
from xraysite.common.admin import PrivateSearchMixin, ReadOnlyAdmin
from xraysite.common.paging import BoundedPaginator
from xraysite.common.private_search import private_search


@admin.register(Patient)
class PatientAdmin(PrivateSearchMixin, ReadOnlyAdmin):
    """Every patient of every doctor, as far as not merged into another."""

    list_display = ["name", "number", "birth_date", "sex", "films", "is_disputed"]
    list_per_page = 25
    list_max_show_all = 25
    sortable_by = ()
    show_full_result_count = False
    paginator = BoundedPaginator
    search_fields = ["name_key", "number_key"]
    search_help_text = _(
        "Enter the start of the patient's name or number. Upper and lower case are treated the "
        "same. At most 1,000 matches are listed."
    )
    actions = None

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    has_module_permission = has_view_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[Patient]:
        return Patient.objects.visible_to(request.user).filter(merged_into=None)

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        return (queryset.beginning_with(search_term) if search_term.strip() else queryset), False

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            shown: Callable[..., HttpResponseBase]
            shown = require_http_methods(["GET", "POST"])(partial(view, self))
            if name == "find":
                shown = private_search(shown)
            return path(route, self.admin_site.admin_view(shown), name=f"diagnosis_patient_{name}")

        return [
            page("duplicates/", patient_moves.duplicates_view, "duplicates"),
            page("moves/<int:operation>/undo/", patient_moves.undo_view, "undo"),
            page("<uuid:pk>/find/", patient_moves.find_view, "find"),
            page("<uuid:pk>/merge/<uuid:other>/", patient_moves.merge_view, "merge"),
            page("<uuid:pk>/split/", patient_moves.split_view, "split"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response: HttpResponse = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", {}).get("cl")
        if shown is not None:
            record_shown(
                Patient, [patient.pk for patient in shown.result_list], what="patients-list"
            )
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            pk = uuid.UUID(object_id)
        except ValueError:
            return super().change_view(request, object_id)
        return patient_moves.patient_view(self, request, pk)

    @admin.display(description=_("readings"))
    def films(self, patient: Patient) -> int:
        total: int = patient.studies.aggregate(n=Count("readings"))["n"]
        return total

    @admin.display(description=_("number disputed"))
    def is_disputed(self, patient: Patient) -> str:
        return str(_("another patient has it, too")) if patient.number_disputed else ""
