"""Filters and change list of the readings' admin, equally fast at any table size.

Every filter and sort order has an index in `READING_INDEXES`. No query counts the whole table or
selects its distinct values, and the URL accepts no lookups besides the filters.
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
from diagnosis.models import NEWEST_FIRST, Reading
from mlcore.models import ModelVersion
from xraysite.common.admin import PrivateSearchChangeList

READINGS = QuerySet[Reading]


class HiddenFilter(admin.SimpleListFilter):
    """Filter for readings that their doctors deleted, or for the others."""

    title = gettext_lazy("deletion")
    parameter_name = "hidden"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Deleted by the doctor")), ("no", _("Not deleted"))]

    def queryset(self, request: HttpRequest, queryset: READINGS) -> READINGS:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(hidden_at__isnull=self.value() == "no")


class ModelFilter(admin.SimpleListFilter):
    """Filter by model version; versions without readings are offered too."""

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
    """Filter by a doctor whose name or e-mail address is typed: there may be thousands.

    If several doctors match, no readings are listed until one is chosen.
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
        users = User.objects.order_by("display_name", "email")
        if self.typed.isdecimal() and len(self.typed) < 19:
            return users.filter(pk=int(self.typed))
        return users.filter(Q(display_name__icontains=self.typed) | Q(email__icontains=self.typed))

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
        """The text in the filter's input."""
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
        for user in self.matches[: self.max_matches]:
            yield {
                "selected": user == self.chosen,
                "query_string": changelist.get_query_string({self.parameter_name: user.pk}),
                "display": f"{user} · {user.email}",
            }


class ReadingChangeList(PrivateSearchChangeList):
    """Change list sorted by creation time, or by exam date if filtered by exam date."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        if any(name.startswith("exam_date__") for name in self.params):
            self.sortable_by = ()
            return ["-exam_date", *NEWEST_FIRST]
        ordering = super().get_ordering(request, queryset)
        return ["created_at", "id"] if ordering[:1] == ["created_at"] else NEWEST_FIRST

    def get_results(self, request: HttpRequest) -> None:
        """Select the only page by its keys too: Django selects its rows by the filters again."""
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list

    @property
    def is_bounded(self) -> bool:
        """Whether counting stopped at the paginator's limit."""
        return bool(getattr(self.paginator, "is_bounded", False))

    @property
    def open_questions(self) -> list[dict[str, Any]]:
        """The doctor filters without a single match, each with links to its matches."""
        return [
            {"spec": spec, "choices": list(spec.choices(self))[1:]}
            for spec in self.filter_specs
            if isinstance(spec, DoctorFilter) and spec.typed and not spec.chosen
        ]

    def drill_down(self) -> dict[str, Any] | None:
        """Return links to years, months and days between the first and the last reading.

        Replaces Django's date hierarchy, which selects the distinct dates of the whole table.

        Returns:
            `choices`: the links of the current level; `here`: the current year, month or day;
            `back`: the link to the level above. None without readings.
        """
        first, last = self._end("created_at"), self._end("-created_at")
        if first is None or last is None:
            return None
        year, month, day = (self._chosen(part) for part in ("year", "month", "day"))
        if year is None:
            years = range(last.year, first.year - 1, -1)
            return {"choices": [self._link(str(each), year=each) for each in years]}
        if month is None:
            return {
                "back": self._link(_("All dates")),
                "here": str(year),
                "choices": [
                    self._link(str(MONTHS[each]), year=year, month=each)
                    for each in range(1, 13)
                    if (first.year, first.month) <= (year, each) <= (last.year, last.month)
                ],
            }
        here = f"{year}-{month:02d}"
        if day is not None:
            back = self._link(here, year=year, month=month)
            return {"back": back, "here": f"{here}-{day:02d}", "choices": []}
        return {
            "back": self._link(str(year), year=year),
            "here": here,
            "choices": [
                self._link(str(each), year=year, month=month, day=each)
                for each in range(1, calendar.monthrange(year, month)[1] + 1)
                if first <= datetime.date(year, month, each) <= last
            ],
        }

    def _end(self, order: str) -> datetime.date | None:
        ends = self.root_queryset.select_related(None).order_by(order).values_list("created_at")
        found = ends.first()
        return timezone.localdate(found[0]) if found else None

    def _chosen(self, part: str) -> int | None:
        text = str(self.params.get(f"created_at__{part}", ""))
        return int(text) if text.isdecimal() else None

    def _link(self, title: str, **parts: int) -> dict[str, str]:
        dates = {f"created_at__{part}": value for part, value in parts.items()}
        return {"title": title, "link": self.get_query_string(dates, remove=["created_at__"])}
