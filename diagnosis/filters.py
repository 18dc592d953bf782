"""The search form of a doctor's own history."""

import datetime

import django_filters
from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Agreement, Label, Reading, Verdict
from diagnosis.querysets import ReadingQuerySet


class DateInput(forms.DateInput):
    input_type = "date"


class ReadingFilter(django_filters.FilterSet):
    """Filter readings by patient's name or number, result, assessment and dates."""

    q = django_filters.CharFilter(
        method="filter_patient",
        label=_("Patient's name or number"),
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    result = django_filters.ChoiceFilter(
        method="filter_result",
        choices=Label.choices,
        label=_("Result"),
        empty_label=_("Any result"),
    )
    own = django_filters.ChoiceFilter(
        method="filter_own",
        choices=[
            ("none", _("Not recorded")),
            ("differs", _("Differs from the model")),
            *Verdict.choices,
        ],
        label=_("Your assessment"),
        empty_label=_("Any assessment"),
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

    read_from = django_filters.DateFilter(
        method="filter_read", label=_("Read since"), widget=DateInput(format="%Y-%m-%d")
    )

    class Meta:
        model = Reading
        fields: list[str] = []

    def filter_patient(
        self, queryset: ReadingQuerySet[Reading], name: str, value: str
    ) -> ReadingQuerySet[Reading]:
        return queryset.about(value)

    def filter_result(
        self, queryset: ReadingQuerySet[Reading], name: str, value: str
    ) -> ReadingQuerySet[Reading]:
        return queryset.filter(label=value).answered(self.request.user)

    def filter_read(
        self, queryset: ReadingQuerySet[Reading], name: str, value: datetime.date
    ) -> ReadingQuerySet[Reading]:
        midnight = timezone.make_aware(datetime.datetime.combine(value, datetime.time()))
        return queryset.filter(created_at__gte=midnight)

    def filter_own(
        self, queryset: ReadingQuerySet[Reading], name: str, value: str
    ) -> ReadingQuerySet[Reading]:
        if value == "none":
            return queryset.filter(review__isnull=True)
        if value == "differs":
            return queryset.filter(agreement=Agreement.DISAGREE)
        return queryset.filter(review__verdict=value)
