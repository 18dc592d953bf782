"""A doctor's own statistics."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import View

from diagnosis import opinion_statistics
from diagnosis.forms.statistics import period_context
from diagnosis.models import Reading
from diagnosis.views.readings import DoctorsOnlyMixin


class StatisticsView(DoctorsOnlyMixin, View):
    """Show how the doctor and the model compare, on the doctor's own readings."""

    def get(self, request: HttpRequest) -> HttpResponse:
        context = period_context(request)
        own = Reading.objects.own_of(request.user)
        context["statistics"] = opinion_statistics.of(own, context["period"])
        return render(request, "diagnosis/statistics.html", context)
