"""The only way a film or heatmap leaves the server: permission, access record, response."""

import uuid
from collections.abc import Callable
from typing import TypeVar

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.audit.recording import record_access, record_event
from diagnosis import access_log
from diagnosis.models import BatchItem, Reading
from diagnosis.services.films import (
    MIME_TYPES,
    THUMBNAIL_SIDE,
    UNKNOWN_MIME_TYPE,
    VIEWER_SIDE,
    FilmMissingError,
    film_pixels,
    film_rendering,
    heatmap,
    original_film,
    waiting_rendering,
)
from diagnosis.services.lungs import lung_outline
from mlcore.inference import FilmError, ModelUnavailable

ResponseT = TypeVar("ResponseT", bound=HttpResponseBase)
FILM_MISSING = gettext_lazy(
    "The X-ray is missing from the server's storage. Contact your administrator."
)


def reading_for(request: HttpRequest, pk: uuid.UUID) -> Reading:
    """Return a reading that the user of `request` may see, sealed where the answer is withheld.

    Raises:
        Http404: there is no such reading, or it is someone else's; the response is the same.
    """
    readings = Reading.objects.visible_to(request.user).select_related(
        "doctor", "model_version", "study", "team"
    )
    reading = readings.with_withheld(request.user).filter(pk=pk).first()
    if reading is None:
        raise denied(pk)
    return reading


def record_url(request: HttpRequest, reading: Reading) -> str:
    """Return the absolute URL of a reading's page; it names no patient."""
    return request.build_absolute_uri(reading.get_absolute_url())


def denied(pk: uuid.UUID) -> Http404:
    """Record that a reading was asked for which the user may not see, and return the error.

    Whether the reading exists is never looked up: both cases take the same steps, so neither the
    response nor its time tells them apart. The access log finds the rows of existing readings.
    """
    access_log.record_denied(str(pk))
    return no_such_reading()


def no_such_reading() -> Http404:
    """Return the error for a reading that does not exist or that the user may not see."""
    return Http404(_("This reading does not exist."))


def film_response(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Respond with the film as a JPEG.

    `?size=thumb` asks for the thumbnail, `?size=original` for the uploaded file as a download.
    """
    if request.GET.get("size") == "original":
        return _original_response(request, pk)
    thumbnail = request.GET.get("size") == "thumb"
    side = THUMBNAIL_SIDE if thumbnail else VIEWER_SIDE
    return _image_response(
        request,
        pk,
        what="thumbnail" if thumbnail else "film",
        content_type="image/jpeg",
        render=lambda reading: film_rendering(reading, max_side=side),
    )


def waiting_film_response(request: HttpRequest, item: uuid.UUID) -> HttpResponse:
    """Respond with a file of the user's batch that has not been read yet, as a JPEG."""
    waiting = BatchItem.objects.own_of(request.user).filter(pk=item, is_stored=True).first()
    if waiting is None:
        raise Http404
    try:
        content = waiting_rendering(waiting)
    except FilmMissingError:
        return _film_missing()
    record_event(
        BatchItem, what="batch-film", about=str(waiting.batch_id), detail={}, key=str(waiting.pk)
    )
    return protected(HttpResponse(content, content_type="image/jpeg"), "inline")


def heatmap_response(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Respond with the activation map as a transparent image, to be overlaid on the film.

    While the answer is withheld, 404: the same for a film with a result as for a refused one.
    """
    _refuse_if_sealed(request, pk)
    return _image_response(request, pk, what="heatmap", content_type="image/png", render=heatmap)


def _refuse_if_sealed(request: HttpRequest, pk: uuid.UUID) -> None:
    if reading_for(request, pk).is_sealed:
        raise Http404(_("The model's result is shown after your own opinion."))


def lungs_response(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Respond with the outline of the lungs as a transparent image, to be overlaid on the film.

    The status is 409 if the model that made the reading cannot mark them. While the answer is
    withheld, 404, as for the heatmap.
    """
    _refuse_if_sealed(request, pk)
    try:
        return _image_response(
            request, pk, what="lungs", content_type="image/png", render=lung_outline
        )
    except ModelUnavailable:
        return _plain(_("The lung outline is not available for this reading."), 409)


def pixels_response(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Respond with the film at its stored depth; holds nothing of the model or the patient.

    The status is 422 if the film is too large, or costs more than a decoder may use.
    """
    reading = reading_for(request, pk)
    try:
        content = film_pixels(reading)
    except FilmMissingError:
        return _film_missing()
    except FilmError as error:
        # The only detail that these errors have is numbers.
        return _plain(_(error.sentence) % error.detail, 422)
    record_access(reading, what="pixels")
    response = HttpResponse(content, content_type="application/octet-stream")
    response.headers["Content-Encoding"] = "gzip"
    return protected(response, "inline")


def _original_response(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    reading = reading_for(request, pk)
    try:
        content = original_film(reading)
    except FilmMissingError:
        return _film_missing()
    record_access(reading, what="original")
    mime_type = reading.film_mime_type or MIME_TYPES.get(reading.film_format, UNKNOWN_MIME_TYPE)
    response = HttpResponse(content, content_type=mime_type)
    disposition = content_disposition_header(as_attachment=True, filename=reading.film_name)
    return protected(response, disposition or "attachment")


def _film_missing() -> HttpResponse:
    return _plain(str(FILM_MISSING), 503)


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain; charset=utf-8", status=status)


def protected(response: ResponseT, disposition: str) -> ResponseT:
    """Forbid a browser to run or embed what a response holds."""
    response.headers["Content-Disposition"] = disposition
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


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
        return _film_missing()
    is_listed = what == "thumbnail" and access_log.was_listed(reading, to=request.user)
    if not is_listed:  # the list's own row names this reading
        record_access(reading, what=what)
    return protected(HttpResponse(content, content_type=content_type), "inline")
