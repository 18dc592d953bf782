"""A supervisor's view of every reading. Nothing here changes what a model said, or a record."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.audit import record_access
from diagnosis.models import Reading


@admin.register(Reading)
class ReadingAdmin(admin.ModelAdmin):
    """Every reading of every doctor, to look at."""

    list_display = [
        "thumbnail",
        "patient_name",
        "patient_number",
        "patient_age_years",
        "exam_date",
        "label",
        "shown_probability",
        "doctor",
        "model_version",
        "created_at",
    ]
    list_display_links = ["thumbnail", "patient_name"]
    list_filter = [
        "label",
        ("doctor", admin.RelatedOnlyFieldListFilter),
        ("model_version", admin.RelatedOnlyFieldListFilter),
        "created_at",
        "exam_date",
    ]
    list_select_related = ["doctor", "model_version"]
    list_per_page = 25
    show_full_result_count = False
    date_hierarchy = "created_at"
    search_fields = ["patient_name", "patient_number", "doctor__display_name", "doctor__email"]
    ordering = ["-created_at", "-id"]
    fieldsets = [
        (None, {"fields": ["film", "label", "shown_probability", "threshold", "shown_reasons"]}),
        (
            _("Patient"),
            {"fields": ["patient_name", "patient_number", "patient_age_years", "exam_date"]},
        ),
        (_("Reading"), {"fields": ["doctor", "created_at", "updated_at", "id"]}),
        (
            _("Film"),
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
        css = {"all": ["css/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reading]:
        return Reading.objects.visible_to(request.user).defer("activation_map")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kw: Any) -> Any:
        response: HttpResponse = super().change_view(request, object_id, *args, **kw)
        reading = self.get_object(request, object_id)
        if reading is not None and response.status_code == 200:
            record_access(reading, what="admin page")
        return response

    @admin.display(description=_("Film"))
    def thumbnail(self, reading: Reading) -> SafeString:
        return format_html(
            '<img class="film-thumbnail" src="{}?size=thumb" alt="{}" loading="lazy">',
            reverse("readings:film", args=[reading.pk]),
            _("Film of this reading"),
        )

    @admin.display(description=_("Film and where the model looked"))
    def film(self, reading: Reading) -> SafeString:
        return format_html(
            '<span class="film-overlay"><img src="{}" alt="{}"><img src="{}" alt="{}"></span>'
            '<br><a href="{}">{}</a>',
            reverse("readings:film", args=[reading.pk]),
            _("Film of this reading"),
            reverse("readings:heatmap", args=[reading.pk]),
            _("Heatmap of this reading"),
            reading.get_absolute_url(),
            _("Open the reading"),
        )

    @admin.display(description=_("Probability of pneumonia"))
    def shown_probability(self, reading: Reading) -> str:
        return "–" if reading.is_out_of_scope else reading.probability_text

    @admin.display(description=_("Why it is outside the scope"))
    def shown_reasons(self, reading: Reading) -> str:
        return " ".join(reading.scope_reason_texts) or "–"
