"""The access log of a patient, for supervisors: a page and a CSV export."""

from collections.abc import Iterator
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.audit.recording import record_event
from accounts.audit.registry import name_of
from accounts.models import User
from diagnosis import access_log
from diagnosis.models import Reading
from xraysite.common.csv_export import csv_response
from xraysite.common.paging import BoundedPaginator
from xraysite.common.private_search import PARAMETER, private_search

PAGE_SIZE = 50


@private_search
@require_safe
def access_log_view(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """List every audit event of a patient's readings.

    `q` is the start of the patient's name or number; it is sent by POST and kept out of URLs
    (`private_search`). `?format=csv` exports the list. The search itself is recorded in the audit
    log.
    """
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    query = request.GET.get("q", "").strip()
    if not query:
        return _page(request, {"q": ""})
    ids, more = access_log.reading_ids_of_patient(query, by=cast(User, request.user))
    entries = access_log.entries_about(ids)
    about = f"patient access log: {query}"[:200]
    if request.GET.get("format") == "csv":
        detail = {"as": "CSV", "readings": len(ids), "rows": entries.count()}
        record_event(Reading, what="exported", about=about, detail=detail)
        return csv_response("access-log.csv", _columns(), _rows(entries))
    record_event(Reading, what="access-searched", about=about, detail={"readings": len(ids)})
    page = BoundedPaginator(entries, PAGE_SIZE).get_page(request.GET.get("page"))
    stored = _stored_ids(request, [entry.object_pk for entry in page])
    lines = [
        {"entry": entry, "event": name_of(entry.what), "is_stored": entry.object_pk in stored}
        for entry in page
    ]
    results = {"page_obj": page, "lines": lines, "readings": len(ids)}
    return _page(request, results | {"q": query, "more": more, "limit": access_log.MAX_READINGS})


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    shared = admin.site.each_context(request) | {"title": _("Patient access log")}
    shared["search"] = request.GET.get(PARAMETER, "")
    return TemplateResponse(request, "admin/diagnosis/who_saw.html", shared | context)


def _stored_ids(request: HttpRequest, ids: list[str]) -> set[str]:
    """Return those of the ids whose readings still exist."""
    stored = Reading.objects.visible_to(request.user).filter(pk__in=set(ids)).order_by()
    return {str(pk) for pk in stored.values_list("pk", flat=True)}


def _columns() -> list[str]:
    return [
        _("Time"), _("User"), _("Email"), _("Hospital"), _("Event"), _("Reading"),
        _("IP address"), _("Log entry"),
    ]  # fmt: skip


def _rows(entries: Any) -> Iterator[list[object]]:
    for entry in entries.iterator(chunk_size=1000):
        yield [
            date_format(timezone.localtime(entry.timestamp), "Y-m-d H:i:s"),
            str(entry.actor or ""),
            entry.actor_email or "",
            entry.actor.hospital if entry.actor else "",
            name_of(entry.what),
            entry.object_pk,
            entry.remote_addr or "",
            entry.sequence,
        ]
