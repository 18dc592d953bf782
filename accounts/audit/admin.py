"""The audit log in the admin: read-only for everyone."""

from datetime import datetime, timedelta
from typing import Any

import auditlog.admin  # noqa: F401 - registers an admin for it, which is replaced below
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.audit.models import AuditEntry
from accounts.audit.recording import record_event
from accounts.audit.registry import EVENTS, name_of
from xraysite.common.admin import PrivateSearchChangeList, PrivateSearchMixin, ReadOnlyAdmin
from xraysite.common.client_address import is_address
from xraysite.common.paging import BoundedPaginator

admin.site.unregister(AuditEntry)


SHOWN_KEY = 8
SHOWN_CHANGES = 3


def field_name(entry: AuditEntry, name: str) -> str:
    """Return the verbose name of a field of the object that `entry` is about."""
    model = entry.content_type.model_class()
    try:
        return str(getattr(model._meta.get_field(name), "verbose_name", name)) if model else name
    except FieldDoesNotExist:
        return name


def before_and_after(change: Any) -> tuple[str, str]:
    """Return the values before and after a change; for many-to-many, objects removed or added."""
    if isinstance(change, dict):
        objects = ", ".join(change.get("objects", []))
        return (objects, "") if change.get("operation") == "delete" else ("", objects)
    return change[0], change[1]


class EventFilter(admin.SimpleListFilter):
    """Filters by event; the choices come from the registry, not from the table."""

    title = _("event")
    parameter_name = "what"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return sorted(
            ((what, str(name)) for what, name in EVENTS.items()), key=lambda pair: pair[1]
        )

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        return queryset.filter(what=self.value()) if self.value() else queryset


class WhenFilter(admin.SimpleListFilter):
    """Filters by time, translated to row numbers: rows are in chronological order."""

    title = _("time")
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("1", _("Today")),
            ("7", _("Past 7 days")),
            ("31", _("Past 31 days")),
            ("366", _("Past 366 days")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry]
    ) -> QuerySet[AuditEntry]:
        if self.value() not in {"1", "7", "31", "366"}:
            return queryset
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.between(midnight - timedelta(days=int(self.value() or 1) - 1))  # type: ignore[attr-defined]


def day_of(word: str) -> datetime | None:
    """Return the start of the day written as 2026-01-31, or None, in the active time zone."""
    try:
        return timezone.make_aware(datetime.strptime(word, "%Y-%m-%d"))
    except (ValueError, OverflowError):
        return None


@admin.register(AuditEntry)
class AuditEntryAdmin(PrivateSearchMixin, ReadOnlyAdmin):
    """Every event, newest first."""

    list_display = ["when", "who", "event", "about", "summary", "address"]
    list_display_links = ["when"]
    list_filter = [WhenFilter, EventFilter]
    list_select_related = ["actor", "content_type"]
    list_per_page = 50
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_max_show_all = 0
    paginator = BoundedPaginator
    search_fields = ["actor_email", "object_pk", "remote_addr"]
    search_help_text = _(
        "A complete email address, IP address or reading ID, or a date such as 2026-01-31"
    )
    ordering = ["-sequence"]
    actions = None
    fields = [
        "sequence", "when", "who", "event", "about", "all_changes", "detail",
        "address", "sealed",
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        return super().get_queryset(request).defer("serialized_data", "changes_text")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NewestFirst

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a page of entries and record which, by their numbers."""
        response = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", {}).get("cl")
        if shown is not None:
            numbers = [entry.sequence for entry in shown.result_list]
            detail = {"entries": f"{min(numbers)}-{max(numbers)}"} if numbers else {}
            record_event(AuditEntry, what="audit-list", about="", detail=detail)
        return response

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """Show an entry; that is itself recorded, because an entry may contain patients' details.

        The row is about the same object as the entry, so that a search by object finds it.
        """
        response: Any = super().change_view(request, object_id, *args, **kwargs)
        entry = self.get_object(request, object_id) if response.status_code == 200 else None
        if entry is not None:
            record_event(
                entry.content_type.model_class() or AuditEntry,
                what="audit-entry",
                about=entry.object_repr,
                detail={"entry": entry.sequence},
                key=entry.object_pk,
            )
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Match whole values only, so that every search uses an index."""
        for word in search_term.split():
            if (day := day_of(word)) is not None:
                queryset = queryset.between(day, day + timedelta(days=1))  # type: ignore[attr-defined]
                continue
            # One column a word: with "or", the database would sort every match.
            if is_address(word):
                queryset = queryset.filter(remote_addr=word)
            elif "@" in word:
                queryset = queryset.filter(actor_email=word.lower())
            else:
                queryset = queryset.filter(object_pk=word)
        return queryset, False

    @admin.display(description=_("When"))
    def when(self, entry: AuditEntry) -> str:
        return date_format(timezone.localtime(entry.timestamp), "Y-m-d H:i:s")

    @admin.display(description=_("Who"))
    def who(self, entry: AuditEntry) -> str | SafeString:
        if entry.actor is not None:
            return format_html("{}<br><small>{}</small>", entry.actor, entry.actor_email)
        console = (entry.additional_data or {}).get("console")
        if entry.actor_email:
            return str(entry.actor_email)
        return str(_("console: %(name)s") % {"name": console}) if console else "–"

    @admin.display(description=_("Event"))
    def event(self, entry: AuditEntry) -> str:
        return name_of(entry.what)

    @admin.display(description=_("About"))
    def about(self, entry: AuditEntry) -> SafeString:
        shown = entry.object_repr.strip("*")  # of a list without a filter
        if shown == entry.object_pk and len(shown) > SHOWN_KEY:
            shown = f"{shown[:SHOWN_KEY]}…"
        return format_html(
            '{}<br><small title="{}">{}</small>', entry.content_type.name, entry.object_pk, shown
        )

    @admin.display(description=_("Changes"))
    def summary(self, entry: AuditEntry) -> str:
        names = [field_name(entry, name) for name in list(entry.changes_dict)]
        more = "…" if len(names) > SHOWN_CHANGES else ""
        return (", ".join(names[:SHOWN_CHANGES]) + more) or "–"

    @admin.display(description=_("Changes"))
    def all_changes(self, entry: AuditEntry) -> SafeString:
        rows = [
            (field_name(entry, name), *before_and_after(change))
            for name, change in entry.changes_dict.items()
        ]
        if not rows:
            return SafeString("–")
        head = format_html(
            "<tr><th>{}</th><th>{}</th><th>{}</th></tr>", _("Field"), _("Before"), _("After")
        )
        return format_html(
            "<table>{}{}</table>",
            head,
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
        )

    @admin.display(description=_("Detail"))
    def detail(self, entry: AuditEntry) -> str | SafeString:
        keys = entry.shown_keys
        detail = entry.additional_data or {}
        facts = [f"{name}: {value}" for name, value in detail.items() if value is not keys]
        if not keys:
            return "; ".join(facts) or "–"
        count = ngettext("%(n)s object shown", "%(n)s objects shown", len(keys)) % {"n": len(keys)}
        listed = format_html_join("", "<li>{}</li>", ((key,) for key in keys))
        return format_html(
            "{}<details><summary>{}</summary><ul>{}</ul></details>", "; ".join(facts), count, listed
        )

    @admin.display(description=_("Address"))
    def address(self, entry: AuditEntry) -> str:
        return entry.remote_addr or "–"

    @admin.display(description=_("Sealed"), boolean=True)
    def sealed(self, entry: AuditEntry) -> bool:
        return entry.is_sealed


class NewestFirst(PrivateSearchChangeList):
    """Sorts by row number, which is chronological and indexed."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        return ["-sequence"]
