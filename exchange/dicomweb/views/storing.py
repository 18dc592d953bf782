"""STOW-RS: storing films (PS3.18, 10.5)."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.http import parse_header_parameters
from django.utils.translation import gettext as _

from exchange.dicomweb import storing
from exchange.dicomweb.accept import DICOM, MULTIPART, json_type
from exchange.dicomweb.parts import MalformedError, TooManyPartsError
from exchange.dicomweb.views.access import problem
from exchange.dicomweb.views.retrieving import FilmsView
from exchange.dicomweb.views.searching import SearchView, dicom_json


class _StoreMixin:
    """Adds storing to an address."""

    user: Any
    root: str

    def post(self, request: HttpRequest, study: str = "") -> HttpResponse:
        media_type = json_type(request)
        kind, params = parse_header_parameters(request.headers.get("Content-Type", ""))
        sent_type = params.get("type", "").strip('"').lower()
        if kind != MULTIPART or sent_type != DICOM:
            return problem(
                415, _("Send X-rays as %(type)s.") % {"type": f'{MULTIPART}; type="{DICOM}"'}
            )
        try:
            receipt = storing.store(user=self.user, request=request, study=study)
        except MalformedError:
            return problem(400, _("The body is no complete multipart message."))
        except TooManyPartsError:
            return problem(413, _("The message has too many parts."))
        if not receipt.outcomes:
            return problem(400, _("The message contains no X-ray."))
        response = dicom_json([receipt.as_json(self.root)], media_type)
        # The standard's answer to storing is one data set, not a list.
        response.content = response.content[1:-1]
        response.status_code = receipt.status
        return response


class StoreView(_StoreMixin, SearchView):
    """All studies: searched with GET, added to with POST."""


class StudyView(_StoreMixin, FilmsView):
    """A study: given with GET, added to with POST."""

    def get(self, request: HttpRequest, study: str = "", **kwargs: str) -> HttpResponseBase:
        return super().get(request, study=study, **kwargs)
