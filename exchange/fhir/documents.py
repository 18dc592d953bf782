"""The report's PDF for other servers, which is no numbered copy."""

from dataclasses import asdict

from django.conf import settings
from django.utils import timezone, translation

from diagnosis.services.films import VIEWER_SIDE, FilmMissingError, film_rendering, heatmap
from diagnosis.services.report_content import report_content
from diagnosis.services.report_pdf import Pictures, render_report
from diagnosis.services.report_text import merged
from diagnosis.services.reports import BOTH, LANGUAGES
from exchange.fhir.loading import Record
from xraysite.common.dates import roc_years


def document(record: Record) -> bytes:
    """Return the PDF in Chinese and English; the same state gives the same bytes.

    Raises:
        ReportError: the page cannot be set.
    """
    reading, contents = record.reading, []
    with_map = not reading.is_out_of_scope
    for code in LANGUAGES[BOTH]:
        with (
            translation.override(code),
            timezone.override(timezone.get_default_timezone()),
            roc_years(False),
        ):
            contents.append(asdict(report_content(reading, with_map=with_map)) | {"copy": []})
    try:
        film = film_rendering(reading, max_side=VIEWER_SIDE)
    except FilmMissingError:
        film = None
    pictures = Pictures(
        film=film,
        heatmap=heatmap(reading) if with_map and film is not None else None,
        width=reading.film_width,
        height=reading.film_height,
    )
    url = f"{settings.SITE_URL}{reading.get_absolute_url()}"
    return render_report(merged(contents), pictures, url=url, issued_at=record.changed_at)
