"""Who saw a patient, and what somebody saw: a page and a CSV export, for supervisors."""

import datetime
from collections.abc import Iterator
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts import account_limits
from accounts.audit.recording import record_event, record_shown
from accounts.audit.registry import name_of
from accounts.models import User
from diagnosis import access_log
from diagnosis.models import Reading
from diagnosis.visits import Event, Visit
from xraysite.common.csv_export import csv_response
from xraysite.common.private_search import private_search, query_string

PAGE_SIZE = 50
DAYS = 31
MAX_MATCHES = 10
DAY = datetime.timedelta(days=1)


class DateField(forms.DateField):
    widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class PersonForm(forms.Form):
    """Whose access is searched, and when."""

    person = forms.CharField(max_length=254)
    start = DateField(label=gettext_lazy("From"), required=False)
    end = DateField(label=gettext_lazy("To"), required=False)

    def period(self) -> tuple[datetime.datetime, datetime.datetime]:
        """Return the start of the first day and the end of the last; by default, 31 days."""
        last = self.cleaned_data["end"] or timezone.localdate()
        first = self.cleaned_data["start"] or last - (DAYS - 1) * DAY
        return _midnight(first), _midnight(last + DAY)


def _midnight(day: datetime.date) -> datetime.datetime:
    return timezone.make_aware(datetime.datetime.combine(day, datetime.time()))


@private_search
@require_safe
def access_log_view(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """List the visits to a patient's readings, or those of one person.

    `q` is the start of the patient's name or number; it is sent by POST and kept out of URLs
    (`private_search`). `?person=` is an account's number, name or email address, with the days
    `start` and `end`. `&format=csv` exports the single events. Every search is itself recorded in
    the audit log.
    """
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    if query := request.GET.get("q", "").strip():
        return _search_patient(request, query)
    if request.GET.get("person", "").strip():
        return _search_person(request)
    return _page(request, {"person_form": PersonForm()})


def _search_patient(request: HttpRequest, query: str) -> HttpResponse | StreamingHttpResponse:
    ids, more = access_log.reading_ids_of_patient(query, by=cast(User, request.user))
    found = access_log.about_readings(ids)
    about = f"patient access log: {query}"[:200]
    context = {
        "q": query,
        "readings": len(ids),
        "more": more,
        "limit": access_log.MAX_READINGS,
        "person_form": PersonForm(),
    }
    if request.GET.get("format") == "csv":
        return _csv(about, found, request, readings=ids)
    earlier = found.until_now()
    record_shown(Reading, ids, what="access-searched", about=about)
    return _visits(request, earlier, context)


def _search_person(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    form = PersonForm(request.GET)
    if not form.is_valid():
        return _page(request, {"person_form": form})
    typed = form.cleaned_data["person"].strip()
    matches = list(_people(typed)[: MAX_MATCHES + 1])
    context: dict[str, Any] = {"person_form": form, "typed": typed, "period": form.period()}
    if len(matches) > 1 or (not matches and "@" not in typed):
        return _page(request, context | {"matches": matches[:MAX_MATCHES], "is_unclear": True})
    person: User | str = matches[0] if matches else typed.lower()
    start, end = form.period()
    found = access_log.by_person(person, start=start, end=end)
    email = person.email if isinstance(person, User) else person
    days = f"{start:%Y-%m-%d}–{end - DAY:%Y-%m-%d}"
    about = f"access log of {email}, {days}"[:200]
    if request.GET.get("format") == "csv":
        return _csv(about, found, request)
    record_event(Reading, what="access-searched", about=about, detail={})
    return _visits(request, found, context | {"person": person})


def _people(typed: str) -> Any:
    users = User.objects.order_by("display_name", "email")
    if typed.isdecimal() and len(typed) < 19:
        return users.filter(pk=int(typed))
    exact = users.filter(email__iexact=typed)
    return exact if exact.exists() else users.filter(
        Q(display_name__icontains=typed) | Q(email__icontains=typed)
    )  # fmt: skip


def _visits(request: HttpRequest, found: access_log.Found, context: dict[str, Any]) -> HttpResponse:
    visits, is_cut = access_log.visits(found, by=cast(User, request.user))
    page = Paginator(visits, PAGE_SIZE).get_page(request.GET.get("page"))
    results = {
        "page_obj": page,
        "shown": [_words(visit) for visit in page],
        "is_cut": is_cut,
        "max_rows": access_log.MAX_ROWS,
        "query": query_string(request, without=["page"]),
        "stored": _stored_ids(request, page),
    }
    return _page(request, context | results)


def _words(visit: Visit) -> dict[str, Any]:
    return {
        "visit": visit,
        "events": [(event, name_of(event.what)) for event in visit.events],
        "is_denied": {event.what for event in visit.events} == {access_log.DENIED},
    }


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    shared = admin.site.each_context(request) | {"title": _("Patient access log")}
    return TemplateResponse(request, "admin/diagnosis/who_saw.html", shared | context)


def _stored_ids(request: HttpRequest, visits: Any) -> set[str]:
    """Return the ids of the readings in these visits that still exist."""
    ids = {key for visit in visits for event in visit.events for key in event.readings}
    stored = Reading.objects.visible_to(request.user).filter(pk__in=ids).order_by()
    return {str(pk) for pk in stored.values_list("pk", flat=True)}


def _csv(
    about: str, found: access_log.Found, request: HttpRequest, *, readings: list[str] | None = None
) -> StreamingHttpResponse:
    account_limits.take(account_limits.EXPORT, cast(User, request.user))
    found = found.until_now()
    detail = {"as": "CSV", "rows": found.row_count()}
    record_shown(Reading, readings or [], what="exported", about=about, detail=detail)
    events = access_log.events(found, by=cast(User, request.user))
    return csv_response("access-log.csv", _columns(), _rows(events))


def _columns() -> list[str]:
    return [
        _("Time"), _("User"), _("Email"), _("Hospital"), _("Event"), _("Patient"),
        _("Patient number"), _("Reading"), _("IP address"), _("Log entry"),
    ]  # fmt: skip


def _rows(events: Iterator[Event]) -> Iterator[list[object]]:
    for event in events:
        for reading in event.readings:
            yield [
                date_format(timezone.localtime(event.when), "Y-m-d H:i:s"),
                event.person.name,
                event.person.email,
                event.person.hospital,
                name_of(event.what),
                *event.patient,
                reading,
                event.address,
                event.sequence,
            ]
