"""The user's own sessions: time left, staying signed in, ending one."""

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import services
from accounts.session_limits import SEEN, time_left
from xraysite.common import clocks


@login_not_required
@never_cache
@require_safe
def session(request: HttpRequest) -> JsonResponse:
    """Return the session's remaining time without extending it."""
    return _state(request)


@never_cache
@require_POST
def stay(request: HttpRequest) -> JsonResponse:
    """Extend the session."""
    request.session[SEEN] = clocks.moment()
    return _state(request)


def _state(request: HttpRequest) -> JsonResponse:
    """Return the session's state; the CSRF token is for forms opened before signing in again."""
    if not request.user.is_authenticated:
        return JsonResponse({"signed_in": False})
    left = time_left(request)
    return JsonResponse(
        {
            "signed_in": True,
            "account": request.user.pk,
            "seconds_left": round(left.seconds),
            "can_stay": left.shift is None or left.shift > left.idle,
            "token": get_token(request),
        }
    )


@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of the user's own sessions on any device."""
    session = UserSession.objects.filter(pk=pk, user_id=request.user.pk).first()
    if session is None:
        raise Http404
    services.end_session(session)
    messages.success(request, _("The session has been ended."))
    return redirect("usersessions_list")
