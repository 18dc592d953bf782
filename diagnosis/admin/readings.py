"""The supervisors' admin of readings: view, export, restore and purge, never change."""

from typing import Any
from urllib.parse import unquote_plus

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from accounts.audit.recording import record_access, record_event
from diagnosis import export
from diagnosis.admin import retention
from diagnosis.admin.changelist import DoctorFilter, HiddenFilter, ModelFilter, ReadingChangeList
from diagnosis.models import Agreement, Reading
from xraysite.common.admin import PrivateSearchMixin, ReadOnlyAdmin
from xraysite.common.csv_export import csv_response
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
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "film",
                    "result",
                    "threshold",
                    "scope_reason_texts",
                    "own_reading",
                    "own_note",
                ]
            },
        ),
        (
            _("Patient"),
            {"fields": ["patient_name", "patient_number", "patient_age_years", "exam_date"]},
        ),
        (_("Reading"), {"fields": ["doctor", "created_at", "updated_at", "id"]}),
        (
            _("X-ray"),
            {
                "fields": [
                    "film_sha256",
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
                    "scope_score",
                    "scope_threshold",
                    "inference_ms",
                ]
            },
        ),
    ]

    class Media:
        css = {"all": ["css/admin/readings.css", "css/admin/retention.css"]}

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

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj is not None and obj.is_hidden:
            deletion: Any = {
                "fields": ["hidden_at", "hidden_by", "hidden_reason", "retention_status"]
            }
            fieldsets.insert(0, (_("Deleted by the doctor"), deletion))
        return fieldsets

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
            keys = [str(reading.pk) for reading in shown.result_list]
            self._record(request, "admin list", {"readings": keys})
        return response

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kw: Any) -> Any:
        response: HttpResponse = super().change_view(request, object_id, *args, **kw)
        reading = self.get_object(request, object_id)
        if reading is not None and response.status_code == 200:
            record_access(reading, what="admin page")
        return response

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Respond with the filtered list as a CSV file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            shown = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(reverse("admin:diagnosis_reading_changelist"))
        # Later readings are left out, so that the logged number of rows is right.
        readings = shown.queryset.filter(created_at__lte=timezone.now())
        self._record(request, "exported", {"as": "CSV", "rows": readings.count()})
        name = f"readings-{timezone.localtime():%Y%m%d-%H%M}.csv"
        return csv_response(name, export.COLUMNS, export.rows(readings))

    def _record(self, request: HttpRequest, what: str, detail: dict[str, Any]) -> None:
        shown = request.GET.copy()
        shown.pop(PARAMETER, None)  # the key of the text, which is recorded itself
        query = unquote_plus(shown.urlencode())
        record_event(Reading, what=what, about=query[:200] or "*", detail=detail)

    @admin.display(description=_("X-ray"))
    def thumbnail(self, reading: Reading) -> SafeString:
        return format_html(
            '<img class="film-thumbnail" src="{}?size=thumb" alt="{}" loading="lazy">',
            reverse("readings:film", args=[reading.pk]),
            _("X-ray of this reading"),
        )

    @admin.display(description=_("X-ray with heatmap"))
    def film(self, reading: Reading) -> SafeString:
        return format_html(
            '<span class="film-overlay"><img src="{}" alt="{}"><img src="{}" alt="{}"></span>'
            '<br><a href="{}">{}</a>',
            reverse("readings:film", args=[reading.pk]),
            _("X-ray of this reading"),
            reverse("readings:heatmap", args=[reading.pk]),
            _("Heatmap of this reading"),
            reading.get_absolute_url(),
            _("Open the reading"),
        )

    @admin.display(description=_("Patient"))
    def patient(self, reading: Reading) -> SafeString:
        age = ngettext("%(n)s year", "%(n)s years", reading.patient_age_years)
        facts = [reading.patient_number, age % {"n": reading.patient_age_years}]
        return format_html(
            "<b>{}</b><small>{}</small>", reading.patient_name, " · ".join(filter(None, facts))
        )

    @admin.display(description=_("Exam date"))
    def examined(self, reading: Reading) -> str:
        return date_format(reading.exam_date, "SHORT_DATE_FORMAT")

    @admin.display(description=_("Read at"), ordering="created_at")
    def read_at(self, reading: Reading) -> SafeString:
        when = date_format(timezone.localtime(reading.created_at), "SHORT_DATETIME_FORMAT")
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

    @admin.display(description=_("Doctor's assessment"))
    def own_reading(self, reading: Reading) -> SafeString | str:
        review = getattr(reading, "review", None)
        if review is None:
            return "–"
        differs = reading.agreement == Agreement.DISAGREE
        mark = self._small(_("differs from the model"), "differs") if differs else ""
        return format_html("{}{}", review.get_verdict_display(), mark)

    @admin.display(description=_("Note"))
    def own_note(self, reading: Reading) -> str:
        review = getattr(reading, "review", None)
        return review.note if review and review.note else "–"

    @admin.display(description=_("Retention"))
    def retention_status(self, reading: Reading) -> str:
        return " ".join([gettext("It can be restored."), retention.retention_status(reading)])

    @admin.display(description=_("Reasons for being out of scope"))
    def scope_reason_texts(self, reading: Reading) -> str:
        return " ".join(reading.scope_reason_texts) or "–"
