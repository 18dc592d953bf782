"""QIDO-RS: searching for studies, series and films."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts.audit.recording import record_shown
from diagnosis.models import Reading
from exchange.dicomweb import audit
from exchange.dicomweb.accept import json_type
from exchange.dicomweb.films import films_of
from exchange.dicomweb.queries import Level, of_path, parse_query
from exchange.dicomweb.searching import search
from exchange.dicomweb.views.access import DicomwebView, warn

MORE = "The number of results exceeds the limit. Ask for further ones with the offset parameter."


class SearchView(DicomwebView):
    """Searches for what the token's user may see, and records what was found."""

    level: Level = "studies"

    def get(self, request: HttpRequest, study: str = "", series: str = "") -> HttpResponse:
        media_type = json_type(request)
        query = parse_query(request.GET)
        within = of_path(study, series)
        found = search(films_of(self.user), self.level, query, within=within, root=self.root)
        keys = [reading.pk for reading in found.readings]
        record_shown(Reading, keys, what=audit.LISTED, about=self.level)
        warnings = [*query.warnings, *([MORE] if found.has_more else [])]
        response = dicom_json(found.rows, media_type)
        warn(response, warnings, self.root)
        return response


def dicom_json(rows: list[dict[str, Any]], media_type: str) -> JsonResponse:
    """Return data sets in DICOM JSON, in UTF-8."""
    return JsonResponse(
        rows, safe=False, content_type=media_type, json_dumps_params={"ensure_ascii": False}
    )
