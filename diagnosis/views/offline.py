"""X-rays that wait in the browser until the line returns: their page, their keys.

The server knows nothing of them until they are sent through the form for a new reading.
"""

import base64
import binascii
import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views import View

from diagnosis.services import offline
from diagnosis.views.readings import DoctorsOnlyMixin


class WaitingView(DoctorsOnlyMixin, View):
    """The list of X-rays that wait in this browser, which a script fills in."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "diagnosis/waiting.html")


class OfflineKeyView(DoctorsOnlyMixin, View):
    """Return the public key to which this account's browsers seal X-rays."""

    def get(self, request: HttpRequest) -> JsonResponse:
        key = offline.public_key(request.user)  # type: ignore[arg-type]
        point = base64.b64encode(key.point).decode()
        return JsonResponse({"account": request.user.pk, "id": key.id, "key": point})


class OpenWaitingView(DoctorsOnlyMixin, View):
    """Return the key of one X-ray that waits in this browser.

    With it, the URL of the page to show instead, if the same form has arrived already. Status 410
    says that the site has forgotten the key, 400 that the request is none.
    """

    def post(self, request: HttpRequest) -> JsonResponse:
        try:
            submission = uuid.UUID(request.POST.get("submission", ""))
            ephemeral = base64.b64decode(request.POST.get("ephemeral", ""), validate=True)
            key = offline.film_key(
                doctor=request.user,  # type: ignore[arg-type]
                submission=submission,
                ephemeral=ephemeral,
                key_id=request.POST.get("key_id", ""),
            )
        except (ValueError, binascii.Error):
            return JsonResponse({}, status=400)
        except offline.KeyForgottenError:
            return JsonResponse({}, status=410)
        sent = offline.address_if_sent(request.user, submission)  # type: ignore[arg-type]
        return JsonResponse({"key": base64.b64encode(key).decode(), "location": sent})
