"""Session expiry: after inactivity and, for staff, after a maximum duration."""

import time
from dataclasses import dataclass
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from accounts.audit.recording import record_access
from accounts.models import User
from xraysite.common.client_address import client_address

SEEN, SINCE = "session_seen", "session_since"
SEEN_EVERY_S = 60
WARN_S = 120


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until a session expires.

    Attributes:
        idle: without further activity.
        shift: regardless of activity; None without such a limit.
    """

    idle: float
    shift: float | None

    @property
    def seconds(self) -> float:
        return self.idle if self.shift is None else min(self.idle, self.shift)


def time_left(request: HttpRequest) -> TimeLeft:
    """Return the time until the session expires; 0 or less once it has expired."""
    now = time.time()
    session = request.session
    idle = settings.SESSION_IDLE_SECONDS - (now - session.get(SEEN, now))
    is_staff = request.user.is_staff or request.user.is_superuser
    shift = settings.STAFF_SESSION_SECONDS - (now - session.get(SINCE, now)) if is_staff else None
    return TimeLeft(idle, shift)


def end(request: HttpRequest) -> None:
    """End an expired session; the request continues as anonymous."""
    record_access(request.user, what="session-over", by=request.user)  # type: ignore[arg-type]
    UserSession.objects.filter(session_key=request.session.session_key).delete()
    request.session.flush()
    request.user = AnonymousUser()


def note_use(request: HttpRequest) -> None:
    """Store that the session is in use, at most once a minute."""
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
