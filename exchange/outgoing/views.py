"""The download of a reading's DICOM objects."""

import io
import logging
import uuid
import zipfile
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from accounts.audit.recording import record_access
from diagnosis import serving
from diagnosis.models import Reading
from diagnosis.services.films import FilmMissingError
from diagnosis.services.report_pdf import ReportError
from exchange.outgoing.objects import building
from exchange.outgoing.objects.building import Made
from exchange.outgoing.objects.context import Kind
from mlcore.engine.films.errors import FilmError

logger = logging.getLogger(__name__)


@require_GET
def dicom_zip(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Download a reading's result as DICOM objects, the same that are sent to other systems."""
    reading = serving.reading_for(request, pk)
    if reading.is_sealed:
        words = gettext("The DICOM objects hold the model's result. Record your opinion first.")
        messages.info(request, words)
        return redirect(reading)
    try:
        context = building.current(reading)
        objects = [building.made(context, kind) for kind in building.kinds_of(context, list(Kind))]
    except (FilmMissingError, FilmError, ReportError) as error:
        logger.error("The DICOM objects of reading %s cannot be made: %s", pk, error)
        messages.error(request, gettext("The DICOM objects cannot be made. Tell a supervisor."))
        return redirect(reading)
    record_access(reading, what="dicom-downloaded", detail={"objects": _named(objects)})
    response = HttpResponse(_zipped(reading, objects), content_type="application/zip")
    name = f"dicom-{reading.exam_date:%Y%m%d}-{str(reading.pk)[:8]}.zip"
    attachment = content_disposition_header(as_attachment=True, filename=name)
    return serving.protected(response, attachment or "attachment")


def _named(objects: list[Made]) -> list[dict[str, Any]]:
    return [{"object": str(made.kind), "uid": made.uid, "sha256": made.sha256} for made in objects]


def _zipped(reading: Reading, objects: list[Made]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for made in objects:
            name = f"{str(reading.pk)[:8]}-{made.kind}.dcm"
            archive.writestr(zipfile.ZipInfo(name), made.data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
