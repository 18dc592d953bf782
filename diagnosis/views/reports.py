"""Pages and downloads of reports."""

import io
import logging
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.http import content_disposition_header
from django.utils.translation import get_language, gettext, ngettext
from django.views import View
from django.views.decorators.http import require_GET, require_safe

from accounts.audit.recording import origin_of, record_access
from diagnosis import serving
from diagnosis.models import Reading
from diagnosis.services import reports
from diagnosis.services.report_content import report_content
from diagnosis.services.report_pdf import ReportError, code_of

logger = logging.getLogger(__name__)
MAX_REPORTS = 200


@require_safe
def report_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show what the report states, and the choices for downloading it."""
    reading = serving.reading_for(request, pk)
    if reading.is_sealed:
        return withheld(request, reading)
    record_access(reading, what="report")
    context = {
        "reading": reading,
        "content": report_content(reading, with_map=True),
        "record_code": code_of(serving.record_url(request, reading)),
        "copies": reading.reports.select_related("issued_by")[:20],
        "languages": language_choices(),
        "language": language_of(""),
    }
    return render(request, "diagnosis/reading_report.html", context)


@require_GET
def report_pdf(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Download the next numbered copy of a report.

    `?map=1` adds the heatmap; `?lang=` is `en`, `zh-hant` or `both`, by default the active one.
    """
    reading = serving.reading_for(request, pk)
    if reading.is_sealed:
        return withheld(request, reading)
    try:
        copy = issued(
            request, reading,
            language=language_of(request.GET.get("lang", "")),
            with_map=request.GET.get("map") == "1",
        )  # fmt: skip
    except ReportError as error:
        logger.error("The report of reading %s cannot be made: %s", pk, error)
        return render(request, "diagnosis/report_failed.html", {"reading": reading}, status=500)
    response = HttpResponse(copy.pdf, content_type="application/pdf")
    return serving.protected(response, attachment(copy.name))


def withheld(request: HttpRequest, reading: Reading) -> HttpResponse:
    """Redirect to the reading, where the doctor's own opinion comes first."""
    messages.info(
        request, gettext("The report holds the model's result. Record your opinion first.")
    )
    return redirect(reading)


def issued(
    request: HttpRequest, reading: Reading, *, language: str, with_map: bool
) -> reports.Copy:
    """Issue a copy for the user of `request`."""
    return reports.issue_report(
        reading=reading,
        user=request.user,  # type: ignore[arg-type]
        language=language,
        with_map=with_map,
        url=serving.record_url(request, reading),
        **origin_of(request),
    )


def attachment(name: str) -> str:
    return content_disposition_header(as_attachment=True, filename=name) or "attachment"


def language_of(code: str) -> str:
    """Return a key of `reports.LANGUAGES`: `code`, or the active language."""
    if code in reports.LANGUAGES:
        return code
    active = get_language() or ""
    return active if active in reports.LANGUAGES else "en"


def language_choices() -> list[tuple[str, str]]:
    return [("zh-hant", "繁體中文"), ("en", "English"), (reports.BOTH, "繁體中文 + English")]


class ReportsView(PermissionRequiredMixin, View):
    """Download the reports of many readings as a ZIP file.

    The form sends a field `reading` for each, and `map` and `lang` as for one report.
    """

    permission_required = "diagnosis.add_reading"
    raise_exception = True

    def has_permission(self) -> bool:
        return super().has_permission() or self.request.user.has_perm("diagnosis.oversee_reading")

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            keys = [uuid.UUID(key) for key in request.POST.getlist("reading")]
        except ValueError:
            keys = []
        return zip_response(request, keys) or redirect("readings:list")


def zip_response(request: HttpRequest, keys: Sequence[uuid.UUID]) -> StreamingHttpResponse | None:
    """Return the reports of readings as a ZIP file, made while it is sent.

    Readings that the user may not see, or whose result is withheld, are left out and named in a
    text file by the start of their id.

    Returns:
        None, with a message for the next page, if there is nothing to send or too much.
    """
    chosen = list(dict.fromkeys(keys))
    readings = [] if len(chosen) > MAX_REPORTS else _visible(request, chosen)
    if not readings:
        messages.error(request, _refusal(len(chosen)))
        return None
    missing = set(chosen) - {reading.pk for reading in readings}
    content = _zipped(request, readings, sorted(str(key)[:8] for key in missing))
    response = StreamingHttpResponse(content, content_type="application/zip")
    name = f"reports-{timezone.localdate():%Y%m%d}-{len(readings)}.zip"
    return serving.protected(response, attachment(name))


def _visible(request: HttpRequest, keys: list[uuid.UUID]) -> list[Reading]:
    visible = Reading.objects.visible_to(request.user).filter(pk__in=keys)
    loaded = visible.select_related("doctor", "model_version").with_withheld(request.user)
    return [reading for reading in loaded if not reading.is_sealed]


def _refusal(count: int) -> str:
    if count > MAX_REPORTS:
        words = gettext(
            "At most %(limit)s reports can be downloaded at a time; you chose %(count)s."
        )
        return words % {"limit": MAX_REPORTS, "count": count}
    return gettext("Choose the readings whose reports you want to download.")


def _zipped(request: HttpRequest, readings: list[Reading], failed: list[str]) -> Iterator[bytes]:
    """Yield a ZIP file, report by report, so that only one is in memory."""
    language = language_of(request.POST.get("lang", ""))
    with_map = request.POST.get("map") == "1"
    active, zone = get_language(), timezone.get_current_timezone()
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for reading in readings:
            # The response is sent after the request: language and time zone are reset by then.
            with translation.override(active), timezone.override(zone):
                try:
                    copy = issued(request, reading, language=language, with_map=with_map)
                except (ReportError, reports.WithheldError, Reading.DoesNotExist) as error:
                    logger.error("Report of %s left out of a ZIP: %s", reading.pk, error)
                    failed.append(str(reading.pk)[:8])
                    continue
            archive.writestr(_entry(copy), copy.pdf)
            yield pipe.taken()
        if failed:
            with translation.override(active):
                archive.writestr("missing.txt", _missing(failed))
    yield pipe.taken()


def _entry(copy: reports.Copy) -> zipfile.ZipInfo:
    when = timezone.localtime(copy.issue.issued_at)
    return zipfile.ZipInfo(copy.name, date_time=when.timetuple()[:6])


def _missing(ids: list[str]) -> str:
    head = ngettext(
        "There is no report for %(count)s reading:", "There are no reports for %(count)s readings:",
        len(ids),
    ) % {"count": len(ids)}  # fmt: skip
    return "\n".join([head, *ids]) + "\n"


class _Pipe(io.RawIOBase):
    """A file that only grows; what has been written is taken out piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        content = b"".join(self._parts)
        self._parts.clear()
        return content
