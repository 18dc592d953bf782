"""The only way a film or heatmap leaves the server: permission, access record, response."""

import uuid
from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.audit.recording import record_access
from diagnosis.models import Reading
from diagnosis.services.films import (
    THUMBNAIL_SIDE,
    VIEWER_SIDE,
    FilmMissingError,
    film_rendering,
    heatmap,
)


def reading_for(request: HttpRequest, pk: uuid.UUID) -> Reading:
    """Returns a reading that the user of `request` may look at.

    Raises:
        Http404: if there is none, or it is somebody else's; nobody can tell which.
    """
    readings = Reading.objects.visible_to(request.user).select_related("doctor", "model_version")
    reading = readings.filter(pk=pk).first()
    if reading is None:
        raise Http404(_("No such record."))
    return reading


def film_response(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Answers with a rendering of the film; `?size=thumb` asks for a small one."""
    thumbnail = request.GET.get("size") == "thumb"
    side = THUMBNAIL_SIDE if thumbnail else VIEWER_SIDE
    return _image_response(
        request,
        pk,
        what="thumbnail" if thumbnail else "film",
        content_type="image/jpeg",
        render=lambda reading: film_rendering(reading, max_side=side),
    )


def heatmap_response(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Answers with the activation map as a transparent picture that lies over the film."""
    return _image_response(request, pk, what="heatmap", content_type="image/png", render=heatmap)


def _image_response(
    request: HttpRequest,
    pk: uuid.UUID,
    *,
    what: str,
    content_type: str,
    render: Callable[[Reading], bytes],
) -> HttpResponse:
    reading = reading_for(request, pk)
    try:
        content = render(reading)
    except FilmMissingError:
        return HttpResponse(
            _("The film is missing from the storage. Tell the people who run this site."),
            content_type="text/plain; charset=utf-8",
            status=503,
        )
    record_access(reading, what=what)
    response = HttpResponse(content, content_type=content_type)
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
