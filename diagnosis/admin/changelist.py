"""The supervisors' list of readings, the same speed in a table of any size.

Every filter and sort here has an index of `READING_INDEXES` behind it; nothing counts the table,
asks it for its distinct values, or can be asked for by an address alone.
"""

import calendar
import datetime
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dates import MONTHS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from diagnosis.models import NEWEST, Reading
from mlcore.models import ModelVersion

READINGS = QuerySet[Reading]


class HiddenFilter(admin.SimpleListFilter):
    """Those that their doctors deleted, or the others."""

    title = gettext_lazy("deletion")
    parameter_name = "hidden"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Deleted by the doctor")), ("no", _("Not deleted"))]

    def queryset(self, request: HttpRequest, queryset: READINGS) -> READINGS:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(hidden_at__isnull=self.value() == "no")


class ModelFilter(admin.SimpleListFilter):
    """By model version, whether or not it has read anything."""

    title = gettext_lazy("model version")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = ModelVersion.objects.order_by("-created_at").values_list("pk", "name")
        return [(str(pk), name) for pk, name in names]

    def queryset(self, request: HttpRequest, queryset: READINGS) -> READINGS:
        value = self.value()
        if value not in {pk for pk, name in self.lookup_choices}:
            return queryset
        return queryset.filter(model_version_id=int(value or 0))


class DoctorFilter(admin.SimpleListFilter):
    """By a doctor who is typed, since there may be thousands.

    Where several fit, nothing is listed until one is chosen.
    """

    title = gettext_lazy("doctor")
    parameter_name = "doctor"
    template = "admin/diagnosis/reading/doctor_filter.html"
    max_matches = 10

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.typed = (self.value() or "").strip()
        self.matches = list(self._matches()[: self.max_matches + 1]) if self.typed else []
        self.chosen = self.matches[0] if len(self.matches) == 1 else None

    def _matches(self) -> QuerySet[User]:
        people = User.objects.order_by("display_name", "email")
        if self.typed.isdecimal() and len(self.typed) < 19:
            return people.filter(pk=int(self.typed))
        return people.filter(Q(display_name__icontains=self.typed) | Q(email__icontains=self.typed))

    def has_output(self) -> bool:
        return True

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return []

    def queryset(self, request: HttpRequest, queryset: READINGS) -> READINGS:
        if not self.typed:
            return queryset
        return queryset.filter(doctor=self.chosen) if self.chosen else queryset.none()

    @property
    def shown(self) -> str:
        """What the field of the filter holds."""
        return str(self.chosen) if self.chosen else self.typed

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        self.others = [
            (name, value) for name, value in changelist.params.items() if name != "doctor"
        ]
        if not self.typed:
            return
        yield {
            "selected": False,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": _("All"),
        }
        for person in self.matches[: self.max_matches]:
            yield {
                "selected": person == self.chosen,
                "query_string": changelist.get_query_string({self.parameter_name: person.pk}),
                "display": f"{person} · {person.email}",
            }


class ReadingChangeList(ChangeList):
    """Newest first, or oldest first; by exam date where that is what is filtered by."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        if any(name.startswith("exam_date__") for name in self.params):
            self.sortable_by = ()
            return ["-exam_date", *NEWEST]
        asked = super().get_ordering(request, queryset)
        return ["created_at", "id"] if asked[:1] == ["created_at"] else NEWEST

    @property
    def is_bounded(self) -> bool:
        """Whether there are more readings than were counted."""
        return bool(getattr(self.paginator, "is_bounded", False))

    @property
    def open_questions(self) -> list[dict[str, Any]]:
        """The filters that fit several things, with the links to choose one by."""
        return [
            {"spec": spec, "choices": list(spec.choices(self))[1:]}
            for spec in self.filter_specs
            if isinstance(spec, DoctorFilter) and spec.typed and not spec.chosen
        ]

    def drill_down(self) -> dict[str, Any] | None:
        """Returns the links by year, month and day, from the first and last reading's dates.

        Django's own asks the whole table for the years, months and days that occur in it.
        """
        first, last = self._end("created_at"), self._end("-created_at")
        if first is None or last is None:
            return None
        year, month, day = (self._asked(part) for part in ("year", "month", "day"))
        if year is None:
            years = range(last.year, first.year - 1, -1)
            return {"choices": [self._step(str(one), year=one) for one in years]}
        if month is None:
            return {
                "back": self._step(_("All dates")),
                "here": str(year),
                "choices": [
                    self._step(str(MONTHS[one]), year=year, month=one)
                    for one in range(1, 13)
                    if (first.year, first.month) <= (year, one) <= (last.year, last.month)
                ],
            }
        here = f"{year}-{month:02d}"
        if day is not None:
            back = self._step(here, year=year, month=month)
            return {"back": back, "here": f"{here}-{day:02d}", "choices": []}
        return {
            "back": self._step(str(year), year=year),
            "here": here,
            "choices": [
                self._step(str(one), year=year, month=month, day=one)
                for one in range(1, calendar.monthrange(year, month)[1] + 1)
                if first <= datetime.date(year, month, one) <= last
            ],
        }

    def _end(self, order: str) -> datetime.date | None:
        ends = self.root_queryset.select_related(None).order_by(order).values_list("created_at")
        found = ends.first()
        return timezone.localdate(found[0]) if found else None

    def _asked(self, part: str) -> int | None:
        text = str(self.params.get(f"created_at__{part}", ""))
        return int(text) if text.isdecimal() else None

    def _step(self, title: str, **parts: int) -> dict[str, str]:
        dates = {f"created_at__{part}": value for part, value in parts.items()}
        return {"title": title, "link": self.get_query_string(dates, remove=["created_at__"])}
