"""The supervisors' statistics of opinions: all doctors, or one of them."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from diagnosis import opinion_statistics
from diagnosis.forms.statistics import period_context
from diagnosis.models import Reading

MAX_DOCTORS = 500


def urls(model_admin: admin.ModelAdmin) -> list[URLPattern]:
    """Return the URL pattern of the page."""
    view = model_admin.admin_site.admin_view(require_safe(statistics_view))
    return [path("statistics/", view, name="diagnosis_reading_statistics")]


def statistics_view(request: HttpRequest) -> HttpResponse:
    """Show the statistics of every doctor, or of the one that `?doctor=` names by number.

    There are no patients on the page, and no deleted readings in its figures.
    """
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    doctors = User.objects.filter(groups__permissions__codename="add_reading").distinct()
    asked = request.GET.get("doctor", "")
    doctor = doctors.filter(pk=int(asked)).first() if asked.isdecimal() else None
    readings = Reading.objects.visible_to(request.user).filter(hidden_at__isnull=True)
    context: dict[str, Any] = admin.site.each_context(request) | period_context(request)
    context |= {
        "title": _("Doctors and the model"),
        "doctor": doctor,
        "doctors": doctors.order_by("display_name", "email")[:MAX_DOCTORS],
        "statistics": opinion_statistics.of(
            readings if doctor is None else readings.filter(doctor=doctor), context["period"]
        ),
    }
    return TemplateResponse(request, "admin/diagnosis/statistics.html", context)
