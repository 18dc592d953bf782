"""What belongs to a reading as a file: X-ray, heatmap, report."""

import uuid
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from ninja import Router

from accounts.audit.recording import origin_of
from diagnosis import serving
from diagnosis.services import reports
from diagnosis.services.report_pdf import ReportError
from exchange.api.authentication import Token
from exchange.api.problems import Problem

router = Router(tags=[gettext_noop("Files of readings")])
READ = Token("readings:read")


def content(*types: str) -> dict[str, Any]:
    """Return the OpenAPI description of a response with a file."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"responses": {200: {"description": "OK", "content": dict.fromkeys(types, schema)}}}


@router.get(
    "/readings/{uuid:reading_id}/film",
    auth=READ,
    response={200: None},
    operation_id="get_film",
    summary=gettext_noop("Fetch the X-ray"),
    openapi_extra=content("image/jpeg", "*/*"),
)
def get_film(
    request: HttpRequest,
    reading_id: uuid.UUID,
    size: Literal["view", "thumb", "original"] = "view",
) -> HttpResponse:
    """Return the X-ray as a JPEG without the file's metadata, or the original file."""
    return _file(serving.film_response(request, reading_id))


@router.get(
    "/readings/{uuid:reading_id}/heatmap",
    auth=READ,
    response={200: None},
    operation_id="get_heatmap",
    summary=gettext_noop("Fetch the heatmap"),
    openapi_extra=content("image/png"),
)
def get_heatmap(request: HttpRequest, reading_id: uuid.UUID) -> HttpResponse:
    """Return the areas that support pneumonia, to be laid over the X-ray; 404 while withheld."""
    return _file(serving.heatmap_response(request, reading_id))


def _file(response: HttpResponse) -> HttpResponse:
    """Return a file, or the problem that the pages state in words."""
    if response.status_code >= 400:
        raise Problem(response.status_code, "file-missing", response.content.decode())
    return response


@router.get(
    "/readings/{uuid:reading_id}/report.pdf",
    auth=READ,
    response={200: None},
    operation_id="get_report",
    summary=gettext_noop("Issue a report"),
    openapi_extra=content("application/pdf"),
)
def get_report(
    request: HttpRequest,
    reading_id: uuid.UUID,
    lang: Literal["en", "zh-hant", "both"] = "en",
    map: bool = False,
) -> HttpResponse:
    """Return the next numbered copy of the report; 409 while the result is withheld."""
    reading = serving.reading_for(request, reading_id)
    try:
        copy = reports.issue_report(
            reading=reading,
            user=request.user,  # type: ignore[arg-type]
            language=lang,
            with_map=map,
            url=serving.record_url(request, reading),
            **origin_of(request),
        )
    except reports.WithheldError:
        text = _("The report holds the model's result. Record your opinion first.")
        raise Problem(409, "withheld", text) from None
    except ReportError:
        raise Problem(500, "report-failed", _("The report cannot be made.")) from None
    response = HttpResponse(copy.pdf, content_type="application/pdf")
    return serving.protected(response, f'attachment; filename="{copy.name}"')
