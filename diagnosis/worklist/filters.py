"""The search form of a doctor's worklist."""

import datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import F
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models import MAX_AGE_YEARS, Label, Reading, Tag, Verdict
from diagnosis.querysets import ReadingQuerySet
from diagnosis.worklist import counts, orders

# Filters that the numbers are counted by; the others narrow down what is counted.
COUNTED = tuple(counts.CONDITIONS)
PERIODS = {"today": 1, "week": 7, "month": 30}


class DateInput(forms.DateInput):
    input_type = "date"


def _date(**kwargs: Any) -> django_filters.DateFilter:
    return django_filters.DateFilter(widget=DateInput(format="%Y-%m-%d"), **kwargs)


def _age(label: Any) -> django_filters.NumberFilter:
    bounds = {"min_value": 0, "max_value": MAX_AGE_YEARS}
    return django_filters.NumberFilter(method="filter_age", label=label, **bounds)


class ReadingFilter(django_filters.FilterSet):
    """Filter readings by patient, dates and tag; `chosen` has the filters that are counted.

    Args:
        request: whose readings and tags they are.
    """

    q = django_filters.CharFilter(
        method="filter_patient",
        label=_("Patient's name or number, or file name"),
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    scope = django_filters.ChoiceFilter(
        method="keep",
        choices=[
            ("assigned", _("Assigned to me")),
            ("team", _("Of my teams")),
            ("second", _("To read a second time")),
            ("arbiter", _("To decide as arbiter")),
        ],
        label=_("Whose readings"),
        empty_label=_("My own"),
    )
    state = django_filters.ChoiceFilter(
        method="keep",
        choices=[
            (counts.WAITING, _("Waiting for you")),
            (counts.UNREAD, _("Not opened yet")),
            (counts.DONE, _("Done")),
        ],
        label=_("State"),
        empty_label=_("Any state"),
    )
    result = django_filters.ChoiceFilter(
        method="keep", choices=Label.choices, label=_("Result"), empty_label=_("Any result")
    )
    own = django_filters.ChoiceFilter(
        method="keep",
        choices=[
            (counts.NONE, _("Not recorded")),
            (counts.DIFFERS, _("Differs from the model")),
            *Verdict.choices,
        ],
        label=_("Your assessment"),
        empty_label=_("Any assessment"),
    )
    tag = django_filters.ModelChoiceFilter(
        method="filter_tag",
        queryset=lambda request: Tag.objects.filter(doctor=request.user),
        label=_("Tag"),
        empty_label=_("Any tag"),
    )
    period = django_filters.ChoiceFilter(
        method="filter_period",
        choices=[
            ("today", _("Today")),
            ("week", _("Last 7 days")),
            ("month", _("Last 30 days")),
        ],
        label=pgettext_lazy("readings", "Read"),
        empty_label=_("At any time"),
    )
    read_from = _date(method="filter_read", label=_("Read since"))
    read_to = _date(method="filter_read", label=_("Read until"))
    date_from = _date(field_name="exam_date", lookup_expr="gte", label=_("Exam date from"))
    date_to = _date(field_name="exam_date", lookup_expr="lte", label=_("Exam date to"))
    age_from = _age(_("Age from"))
    age_to = _age(_("Age to"))
    sort = django_filters.ChoiceFilter(
        method="keep",
        choices=[(name, name) for name in orders.SORTS],
        widget=forms.HiddenInput,
        empty_label=None,
    )

    class Meta:
        model = Reading
        fields: list[str] = []

    @property
    def chosen(self) -> dict[str, Any]:
        """The filters of `COUNTED` that are chosen, by name."""
        self.form.is_valid()  # the fields that are valid count
        values = self.form.cleaned_data
        return {name: values[name] for name in COUNTED if values.get(name)}

    @property
    def narrowed(self) -> ReadingQuerySet[Reading]:
        """What is counted: the readings that match the other filters."""
        found: ReadingQuerySet[Reading] = self.qs
        return found

    def keep(
        self, queryset: ReadingQuerySet[Reading], name: str, value: str
    ) -> ReadingQuerySet[Reading]:
        """Leave the queryset: `chosen`, `orders` and `lists` apply this filter."""
        return queryset

    def filter_patient(
        self, queryset: ReadingQuerySet[Reading], name: str, value: str
    ) -> ReadingQuerySet[Reading]:
        return queryset.few_about(value)

    def filter_tag(
        self, queryset: ReadingQuerySet[Reading], name: str, value: Tag
    ) -> ReadingQuerySet[Reading]:
        return queryset.tagged(value)

    def filter_period(
        self, queryset: ReadingQuerySet[Reading], name: str, value: str
    ) -> ReadingQuerySet[Reading]:
        first = timezone.localdate() - datetime.timedelta(days=PERIODS[value] - 1)
        return queryset.filter(created_at__gte=_midnight(first))

    def filter_age(
        self, queryset: ReadingQuerySet[Reading], name: str, value: int
    ) -> ReadingQuerySet[Reading]:
        # By an expression: SQLite would search the index by age, and sort what it finds there.
        bound = GreaterThanOrEqual if name == "age_from" else LessThanOrEqual
        return queryset.filter(bound(F("patient_age_years") + 0, value))

    def filter_read(
        self, queryset: ReadingQuerySet[Reading], name: str, value: datetime.date
    ) -> ReadingQuerySet[Reading]:
        if name == "read_from":
            return queryset.filter(created_at__gte=_midnight(value))
        return queryset.filter(created_at__lt=_midnight(value, days=1))


def _midnight(day: datetime.date, *, days: int = 0) -> datetime.datetime:
    """Return the first moment of a day, or of one `days` later; far dates stay in range."""
    try:
        return timezone.make_aware(
            datetime.datetime.combine(day + datetime.timedelta(days=days), datetime.time())
        )
    except OverflowError:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
