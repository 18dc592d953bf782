"""The search form of a doctor's own history."""

import django_filters
from django import forms
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Label, Reading
from diagnosis.querysets import ReadingQuerySet


class DateInput(forms.DateInput):
    input_type = "date"


class ReadingFilter(django_filters.FilterSet):
    """Filter readings by patient's name or number, result, and exam date."""

    q = django_filters.CharFilter(
        method="filter_patient",
        label=_("Patient's name or number"),
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    result = django_filters.ChoiceFilter(
        field_name="label", choices=Label.choices, label=_("Result"), empty_label=_("Any result")
    )
    date_from = django_filters.DateFilter(
        field_name="exam_date",
        lookup_expr="gte",
        label=_("Exam date from"),
        widget=DateInput(format="%Y-%m-%d"),
    )
    date_to = django_filters.DateFilter(
        field_name="exam_date",
        lookup_expr="lte",
        label=_("Exam date to"),
        widget=DateInput(format="%Y-%m-%d"),
    )

    class Meta:
        model = Reading
        fields: list[str] = []

    def filter_patient(
        self, queryset: ReadingQuerySet[Reading], name: str, value: str
    ) -> ReadingQuerySet[Reading]:
        return queryset.about(value)
