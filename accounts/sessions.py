"""When a session ends by itself: after a while without use, and for staff after a shift."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.addresses import client_address
from accounts.audit import record_access
from accounts.models import User

GetResponse = Callable[[HttpRequest], HttpResponseBase]
SEEN, SINCE = "session_seen", "session_since"
SEEN_EVERY_S = 60
WARN_S = 120


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until the session ends: if nobody uses it, and however much it is used."""

    idle: float
    shift: float | None

    @property
    def seconds(self) -> float:
        return self.idle if self.shift is None else min(self.idle, self.shift)


def time_left(request: HttpRequest) -> TimeLeft:
    """Returns how long the session of a signed-in person has left; not above 0 where it is over."""
    now = time.time()
    session = request.session
    idle = settings.SESSION_IDLE_SECONDS - (now - session.get(SEEN, now))
    is_staff = request.user.is_staff or request.user.is_superuser
    shift = settings.STAFF_SESSION_SECONDS - (now - session.get(SINCE, now)) if is_staff else None
    return TimeLeft(idle, shift)


class SessionLimitsMiddleware:
    """Ends sessions whose time is over, and notes that the others are in use."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            if time_left(request).seconds <= 0:
                end(request)
            elif request.path != reverse("accounts:session"):
                note_use(request)
        return self.get_response(request)


def end(request: HttpRequest) -> None:
    """Ends the session as over; what is asked for now is asked by nobody."""
    record_access(request.user, what="session-over", by=request.user)  # type: ignore[arg-type]
    UserSession.objects.filter(session_key=request.session.session_key).delete()
    request.session.flush()
    request.user = AnonymousUser()


def note_use(request: HttpRequest) -> None:
    """Notes, at most once a minute, that the session is in use."""
    now = time.time()
    request.session.setdefault(SINCE, now)
    if now - request.session.get(SEEN, 0) < min(SEEN_EVERY_S, settings.SESSION_IDLE_SECONDS / 4):
        return
    request.session[SEEN] = now
    UserSession.objects.filter(
        session_key=request.session.session_key, user_id=request.user.pk
    ).update(last_seen_at=timezone.now(), ip=client_address(request) or "0.0.0.0")  # noqa: S104


def start(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    if request is not None and hasattr(request, "session"):
        request.session[SEEN] = request.session[SINCE] = time.time()


def listen() -> None:
    user_logged_in.connect(start, dispatch_uid="accounts.sessions.start")


def context(request: HttpRequest) -> dict[str, float]:
    """Tells the pages how long the session has left, and when to warn."""
    # The page of an error may be made before anybody knows whose request it is.
    if not hasattr(request, "user") or not request.user.is_authenticated:
        return {}
    return {
        "session_seconds_left": time_left(request).seconds,
        "session_warn_seconds": min(WARN_S, settings.SESSION_IDLE_SECONDS / 3),
    }


@login_not_required
@never_cache
@require_safe
def session(request: HttpRequest) -> JsonResponse:
    """Says how long the session has left; to ask is no use of it."""
    return _state(request)


@never_cache
@require_POST
def stay(request: HttpRequest) -> JsonResponse:
    """The person is still there."""
    request.session[SEEN] = time.time()
    return _state(request)


def _state(request: HttpRequest) -> JsonResponse:
    """The token in it is for forms that were opened before a sign-in in another tab."""
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
