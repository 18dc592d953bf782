"""A doctor's worklist, what has changed in it, and the steps from one reading to the next."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View

from diagnosis import access_log
from diagnosis.forms.readings import DeletionForm
from diagnosis.models import Label, Reading, SavedView, Tag
from diagnosis.services import second_readings
from diagnosis.services.teams import colleagues_of
from diagnosis.serving import denied
from diagnosis.views.readings import DoctorsOnlyMixin, OwnReadingMixin
from diagnosis.worklist import counts, kept, orders, rows
from diagnosis.worklist.lists import PAGE_SIZE, Worklist, query_of
from diagnosis.worklist.rows import short_hash
from xraysite.common import private_search
from xraysite.common.keyset import Place, Slice
from xraysite.common.private_search import query_string

# Parameters of a page of the list, which are no part of the search.
PAGE_FIELDS = ("after", "before", "at")
VIEW = "view"
ALL = "all"  # every reading, whatever view opens first
POLL_S = 15


def list_url(request: HttpRequest, query: dict[str, str], **more: str) -> str:
    """Return the URL of the list for a search, whose text stays out of it."""
    parameters = QueryDict(mutable=True)
    for name, value in (query | more).items():
        if name == private_search.FIELD:
            parameters[private_search.PARAMETER] = private_search.keep(request.session, value)
        elif value:
            parameters[name] = value
    address = reverse("readings:list")
    return f"{address}?{parameters.urlencode()}" if parameters else address


def _key(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text or "")
    except ValueError:
        return None


def _page(request: HttpRequest, worklist: Worklist) -> tuple[Slice, int]:
    """Return the page that a request asks for, and the number of its first row.

    A row that no longer exists leads to the first page.
    """
    places: dict[str, Place | None] = {}
    for name in ("after", "before"):
        key = _key(request.GET.get(name))
        places[name] = worklist.place_of(key) if key is not None else None
    page = worklist.page(**places)
    at = request.GET.get("at", "")
    is_first = not page.has_previous
    return page, 1 if is_first or not at.isdecimal() else max(1, min(int(at), 10**9))


@method_decorator(private_search.private_search, name="dispatch")
class WorklistView(DoctorsOnlyMixin, View):
    """The doctor's readings: filtered, sorted, a page at a time."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not request.GET:
            first = SavedView.objects.filter(doctor=request.user, is_default=True).first()  # type: ignore[misc]
            if first is not None:
                return redirect(list_url(request, first.parameters(), view=str(first.pk)))
        worklist = Worklist(request, query_of(request.GET))
        page, first_number = _page(request, worklist)
        shown = rows.load(request.user, page.keys)
        if shown:
            access_log.record_list(shown, what="list")
        is_part = request.htmx and not request.htmx.history_restore_request  # type: ignore[attr-defined]
        template = "diagnosis/_worklist.html" if is_part else "diagnosis/reading_list.html"
        context = _context(request, worklist, page, shown)
        context |= {"first_number": first_number, "last_number": first_number + len(shown) - 1}
        context["previous_number"] = max(1, first_number - PAGE_SIZE)
        return render(request, template, context)


def _context(
    request: HttpRequest, worklist: Worklist, page: Slice, shown: list[Reading]
) -> dict[str, Any]:
    worklist.label_choices()
    views = list(SavedView.objects.filter(doctor=request.user))  # type: ignore[misc]
    chosen = request.GET.get(VIEW, "")
    view = next((each for each in views if str(each.pk) == chosen), None)
    return {
        "filter": worklist.search,
        "readings": shown,
        "page": page,
        "last_key": page.keys[-1] if page.keys else "",
        "total": worklist.total,
        "counted": worklist.counted,
        "chips": [*_chips(request, worklist), *_asked_chips(request)],
        "columns": _columns(request, worklist),
        "is_triage": worklist.sort == orders.TRIAGE,
        "triage_query": query_string(request, without=[*PAGE_FIELDS, "sort"]),
        "querystring": query_string(request, without=PAGE_FIELDS),
        "is_filtered": bool(worklist.query.keys() - {"sort"}),
        "views": views,
        "view": view,
        "is_view_changed": view is not None and view.parameters() != worklist.query,
        "colleagues": list(colleagues_of(request.user)),  # type: ignore[arg-type]
        "tags": list(Tag.objects.filter(doctor=request.user)),  # type: ignore[misc]
        "list_key": kept.keep(request.session, worklist, page.keys),
        "stamp": _stamp(shown),
        "poll_seconds": POLL_S,
        "deletion": DeletionForm(),
    }


def _chips(request: HttpRequest, worklist: Worklist) -> list[dict[str, Any]]:
    """Return the filters that are one click away, with the number of readings of each."""
    choices: list[tuple[str, dict[str, str]]] = [
        (_("All"), {}),
        (_("Waiting for you"), {"state": counts.WAITING}),
        (_("Not opened yet"), {"state": counts.UNREAD}),
        (_("No assessment"), {"own": counts.NONE}),
        (_("Differs from the model"), {"own": counts.DIFFERS}),
        *(
            (str(label.label), {"result": str(label)})
            for label in (Label.PNEUMONIA, Label.UNSURE, Label.OUT_OF_SCOPE)
        ),
    ]
    others = query_string(request, without=[*PAGE_FIELDS, *counts.CONDITIONS])
    current = worklist.search.chosen
    found = []
    for label, chosen in choices:
        query = QueryDict(others, mutable=True)
        query.update(chosen)
        found.append(
            {
                "label": label,
                "query": query.urlencode() or f"{VIEW}={ALL}",
                "count": worklist.only(**chosen),
                "is_current": current == chosen,
            }
        )
    return found


def _asked_chips(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the queues of second readings and of an arbiter's decisions, if anything waits."""
    labels = {"second": _("To read a second time"), "arbiter": _("To decide as arbiter")}
    scope = request.GET.get("scope")
    return [
        {
            "label": labels[name],
            "query": f"scope={name}",
            "count": count,
            "is_current": scope == name,
        }
        for name, count in second_readings.waiting_for(request.user).items()  # type: ignore[arg-type]
        if count or scope == name
    ]


def _columns(request: HttpRequest, worklist: Worklist) -> dict[str, dict[str, str]]:
    """Return label, query string and direction of each column that can be sorted by."""
    found = {}
    for name, column in orders.COLUMNS.items():
        is_current = worklist.sort.lstrip("-") == name
        is_reversed = worklist.sort.startswith("-")
        way = ("" if is_reversed else "-") if is_current else column.first
        query = QueryDict(query_string(request, without=[*PAGE_FIELDS, "sort"]), mutable=True)
        query["sort"] = f"{way}{name}"
        direction = ("descending" if is_reversed else "ascending") if is_current else ""
        found[name] = {
            "label": str(column.label),
            "query": query.urlencode(),
            "direction": direction,
        }
    return found


def _stamp(shown: list[Reading]) -> str:
    return short_hash(" ".join(f"{reading.pk}{reading.stamp}" for reading in shown))  # type: ignore[attr-defined]


@method_decorator(private_search.private_search, name="dispatch")
class ChangesView(DoctorsOnlyMixin, View):
    """The rows of a page as they are now, or 304 if they look as they did.

    An open list asks every few seconds. It does not count as activity of the session.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        worklist = Worklist(request, query_of(request.GET))
        page, _number = _page(request, worklist)
        shown = rows.load(request.user, page.keys)
        stamp = f'"{_stamp(shown)}"'
        if request.headers.get("If-None-Match") == stamp:
            response: HttpResponse = HttpResponseNotModified()
        else:
            if shown:
                access_log.record_list(shown, what="list")
            key = request.GET.get(kept.PARAMETER, "")
            context = {"readings": shown, "is_worklist": True, "list_key": key}
            response = render(request, "diagnosis/_rows.html", context)
        response.headers["ETag"] = stamp
        return response


class StepView(OwnReadingMixin, View):
    """Lead from a reading's page to the next, the previous or the next unread one of the list."""

    def get(self, request: HttpRequest, pk: uuid.UUID, way: str) -> HttpResponse:
        if not Reading.objects.visible_to(request.user).filter(pk=pk).exists():
            raise denied(pk)
        key, known = kept.find(request.session, request.GET.get(kept.PARAMETER, ""))
        worklist = Worklist(request, known.query)
        found = self._step(request, worklist, known, key, pk, way)
        if found is None:
            messages.info(request, self._ends[way])
            return redirect(list_url(request, known.query, view=ALL))
        address = reverse("readings:detail", args=[found])
        return redirect(f"{address}?{kept.PARAMETER}={key}" if key else address)

    @property
    def _ends(self) -> dict[str, str]:
        return {
            "next": _("That was the last reading of the list."),
            "previous": _("That was the first reading of the list."),
            "unread": _("There is no unread reading in this list."),
        }

    def _step(
        self,
        request: HttpRequest,
        worklist: Worklist,
        known: kept.KeptList,
        key: str,
        pk: uuid.UUID,
        way: str,
    ) -> Any:
        """Return the key of the reading to open; None at the end of the list."""
        keys, here = known.keys, str(pk)
        start, end = known.start, known.end
        if here not in keys:
            keys, start = [here], worklist.place_of(pk)
            end = start
        number = keys.index(here)
        own = Reading.objects.visible_to(request.user)
        ahead = keys[number + 1 :] if way != "previous" else keys[:number][::-1]
        still = own.filter(pk__in=ahead, **({"is_unread": True} if way == "unread" else {}))
        there = {str(each) for each in still.values_list("pk", flat=True)}
        if near := next((each for each in ahead if each in there), None):
            return near
        if way == "unread":
            return worklist.first_unread(after=end) or worklist.first_unread(but=pk)
        if (end if way == "next" else start) is None:
            return None
        page = worklist.page(after=end) if way == "next" else worklist.page(before=start)
        fresh = [each for each in page.keys if str(each) not in keys]
        if not fresh:
            return None
        kept.keep(request.session, worklist, fresh, key=key)
        return fresh[0] if way == "next" else fresh[-1]
