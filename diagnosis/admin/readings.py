"""The supervisors' admin of readings: view, export, restore and purge, never change."""

from functools import partial
from typing import Any, cast
from urllib.parse import unquote_plus

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from accounts import account_limits
from accounts.audit.recording import origin_of, record_access, record_event, record_shown
from accounts.models import User
from diagnosis import access_log, export
from diagnosis.admin import record, retention, shared_films, statistics
from diagnosis.admin.changelist import DoctorFilter, HiddenFilter, ModelFilter, ReadingChangeList
from diagnosis.models import Agreement, Opinion, Reading
from xraysite.common.admin import PrivateSearchMixin, ReadOnlyAdmin
from xraysite.common.csv_export import csv_response
from xraysite.common.dates import short_date, short_datetime
from xraysite.common.paging import BoundedPaginator
from xraysite.common.private_search import PARAMETER, private_search

# The lookups that a URL may use: those of the filters, each of which has an index.
LOOKUPS = {
    "label__exact", "agreement__exact", "age_scope__exact", "exam_date__gte", "exam_date__lt",
    "created_at__year", "created_at__month", "created_at__day", "doctor", "model", "hidden",
}  # fmt: skip


@admin.register(Reading)
class ReadingAdmin(PrivateSearchMixin, ReadOnlyAdmin):
    """Every reading of every doctor, read-only."""

    actions = [retention.purge_selected]
    list_display = [
        "thumbnail",
        "patient",
        "examined",
        "results",
        "doctor",
        "read_at",
    ]
    list_display_links = ["thumbnail", "patient"]
    list_filter = [
        "label",
        "agreement",
        HiddenFilter,
        DoctorFilter,
        ModelFilter,
        "exam_date",
        "age_scope",
    ]
    list_per_page = 25
    list_max_show_all = 25
    sortable_by = ["read_at"]
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    date_hierarchy = "created_at"
    search_fields = ["patient_name_key", "patient_number_key"]
    search_help_text = _(
        "Enter the start of the patient's name or number, or a complete reading ID. "
        "Upper and lower case are treated the same. At most 1,000 matches are listed."
    )
    ordering = ["-created_at", "-id"]
    # Exact values, in a section that is closed at first; the page says what they mean.
    fieldsets = [
        (_("Reading"), {"fields": ["doctor", "created_at", "updated_at", "id"]}),
        (
            _("Patient"),
            {
                "fields": [
                    "patient_name",
                    "patient_number",
                    "patient_sex",
                    "patient_birth_date",
                    "patient_age_years",
                    "exam_date",
                ]
            },
        ),
        (
            _("X-ray"),
            {
                "fields": [
                    "original_name",
                    "film_mime_type",
                    "film_sha256",
                    "film_pixels_sha256",
                    "film_format",
                    "film_width",
                    "film_height",
                    "film_bytes",
                    "film_modality",
                    "film_view",
                    "film_body_part",
                ]
            },
        ),
        (
            _("Model"),
            {
                "fields": [
                    "model_version",
                    "bundle_sha256",
                    "preprocessing_id",
                    "probabilities",
                    "threshold",
                    "scope_score",
                    "scope_threshold",
                    "inference_ms",
                ]
            },
        ),
    ]

    class Media:
        css = {"all": ["css/admin/readings.css", "css/admin/record.css", "css/admin/retention.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reading]:
        readings = Reading.objects.visible_to(request.user)
        return readings.select_related("doctor", "model_version", "review").defer(
            "activation_map", "model_version__card"
        )

    def get_urls(self) -> list[URLPattern]:
        export_view = private_search(self.export_view, page="admin:diagnosis_reading_changelist")
        export_view = self.admin_site.admin_view(require_GET(export_view))
        return [
            path("export/", export_view, name="diagnosis_reading_export"),
            *shared_films.urls(self),
            *statistics.urls(self),
            *retention.urls(self),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ReadingChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        return (queryset.beginning_with(search_term) if search_term.strip() else queryset), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in LOOKUPS

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", {}).get("cl")
        if shown is not None:
            about = self._about(request)
            access_log.record_list(shown.result_list, what="admin list", about=about)
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show a reading as a page that a person can read, and record the view."""
        if not self.has_view_permission(request):
            access_log.record_denied(object_id)
            raise PermissionDenied
        reading = self.get_object(request, object_id)
        context = self._record_context(request, reading) if reading is not None else {}
        response: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )
        if reading is not None and response.status_code == 200:
            record_access(reading, what="admin page")
        return response

    def _record_context(self, request: HttpRequest, reading: Reading) -> dict[str, Any]:
        by: Any = request.user
        visits, has_more = record.visits(reading, by=by)
        return {
            "title": reading.patient_name,
            "subtitle": None,
            "opinions": Opinion.objects.filter(reading=reading).select_related("author"),
            "diagnosis": getattr(reading, "diagnosis", None),
            "shows_heatmap": "heatmap" in request.GET and not reading.is_out_of_scope,
            "differs": reading.agreement == Agreement.DISAGREE,
            "retention": self._retention(reading) if reading.is_hidden else "",
            "history": record.history(reading),
            "visits": visits,
            "has_more_visits": has_more,
        }

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Respond with the filtered list as a CSV file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        account_limits.take(account_limits.EXPORT, cast(User, request.user))
        try:
            shown = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(reverse("admin:diagnosis_reading_changelist"))
        # Later readings are left out, so that the logged number of rows is right.
        readings = shown.queryset.filter(created_at__lte=timezone.now())
        detail = {"as": "CSV", "rows": readings.count()}
        record_event(Reading, what="exported", about=self._about(request), detail=detail)
        name = f"readings-{timezone.localtime():%Y%m%d-%H%M}.csv"
        rows = export.rows(readings, record=partial(self._record_exported, request))
        return csv_response(name, export.COLUMNS, rows)

    def _record_exported(self, request: HttpRequest, keys: list[Any]) -> None:
        """Record the next readings of an export, before the file names them."""
        origin = origin_of(request)
        about = self._about(request)
        record_shown(Reading, keys, what="exported-readings", about=about, **origin)

    @staticmethod
    def _about(request: HttpRequest) -> str:
        shown = request.GET.copy()
        shown.pop(PARAMETER, None)  # the key of the text, which is recorded itself
        return unquote_plus(shown.urlencode())[:200] or "*"

    @admin.display(description=_("X-ray"))
    def thumbnail(self, reading: Reading) -> SafeString:
        return format_html(
            '<img class="film-thumbnail" src="{}?size=thumb" alt="{}" loading="lazy">',
            reverse("readings:film", args=[reading.pk]),
            _("X-ray of this reading"),
        )

    @admin.display(description=_("Patient"))
    def patient(self, reading: Reading) -> SafeString:
        age = ngettext("%(n)s year", "%(n)s years", reading.patient_age_years)
        facts = [reading.patient_number, age % {"n": reading.patient_age_years}]
        return format_html(
            "<b>{}</b><small>{}</small>{}",
            reading.patient_name,
            " · ".join(filter(None, facts)),
            format_html_join(
                "", '<small class="differs">{}</small>', zip(reading.discrepancy_marks)
            ),
        )

    @admin.display(description=_("Exam date"))
    def examined(self, reading: Reading) -> str:
        return short_date(reading.exam_date)

    @admin.display(description=_("Read at"), ordering="created_at")
    def read_at(self, reading: Reading) -> SafeString:
        when = short_datetime(reading.created_at)
        return format_html("{}<small>{}</small>", when, reading.model_name)

    @admin.display(description=_("Result"))
    def result(self, reading: Reading) -> SafeString:
        return format_html(
            '<span class="verdict verdict-{}">{}</span>{}{}',
            reading.label.lower().replace("_", "-"),
            reading.get_label_display(),
            format_html(" {}", "" if reading.is_out_of_scope else reading.probability_text),
            self._small(_("deleted by the doctor"), "deleted") if reading.is_hidden else "",
        )

    @admin.display(description=_("Result"))
    def results(self, reading: Reading) -> SafeString:
        """Return the model's result, and the doctor's assessment if there is one."""
        review = getattr(reading, "review", None)
        if review is None:
            return self.result(reading)
        verdict = gettext("Doctor: %(verdict)s") % {"verdict": review.get_verdict_display()}
        differs = reading.agreement == Agreement.DISAGREE
        return format_html(
            "{}{}{}",
            self.result(reading),
            self._small(verdict, "own"),
            self._small(_("differs from the model"), "differs") if differs else "",
        )

    @staticmethod
    def _small(text: Any, kind: str) -> SafeString:
        return format_html('<small class="{}">{}</small>', kind, text)

    @staticmethod
    def _retention(reading: Reading) -> str:
        return " ".join([gettext("It can be restored."), retention.retention_status(reading)])
