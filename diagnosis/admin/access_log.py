"""A supervisor's answer to "who saw this patient?", on a page and as a table."""

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

PAGE_SIZE = 50


@require_safe
def who_saw(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Lists every event of a patient's readings; `?q=` names the patient, `?format=csv` exports.

    Asking is itself on record.
    """
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    words = request.GET.get("q", "").strip()
    if not words:
        return _page(request, {"q": ""})
    keys, more = access_log.keys_of_patient(words, by=cast(User, request.user))
    entries = access_log.entries_about(keys)
    about = f"who saw: {words}"[:200]
    if request.GET.get("format") == "csv":
        detail = {"as": "CSV", "readings": len(keys), "rows": entries.count()}
        record_event(Reading, what="exported", about=about, detail=detail)
        return csv_response("who-saw.csv", _head(), _rows(entries))
    record_event(Reading, what="access-searched", about=about, detail={"readings": len(keys)})
    page = BoundedPaginator(entries, PAGE_SIZE).get_page(request.GET.get("page"))
    stored = _stored(request, [entry.object_pk for entry in page])
    lines = [
        {"entry": entry, "event": name_of(entry.what), "is_stored": entry.object_pk in stored}
        for entry in page
    ]
    found = {"page_obj": page, "lines": lines, "readings": len(keys)}
    return _page(request, found | {"q": words, "more": more, "limit": access_log.MAX_READINGS})


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    shared = admin.site.each_context(request) | {"title": _("Patient access log")}
    return TemplateResponse(request, "admin/diagnosis/who_saw.html", shared | context)


def _stored(request: HttpRequest, keys: list[str]) -> set[str]:
    """Returns those of `keys` whose readings still exist."""
    stored = Reading.objects.visible_to(request.user).filter(pk__in=set(keys)).order_by()
    return {str(key) for key in stored.values_list("pk", flat=True)}


def _head() -> list[str]:
    return [
        _("When"), _("Who"), _("Email"), _("Hospital"), _("Event"), _("Reading"),
        _("Address"), _("Row of the log"),
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
