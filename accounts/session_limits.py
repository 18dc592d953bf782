"""Session expiry: after inactivity and, for staff, after a maximum duration."""

from dataclasses import dataclass
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from accounts.audit.recording import record_access
from accounts.models import User
from xraysite.common import clocks
from xraysite.common.client_address import client_address

# Moments on both clocks (`xraysite.common.clocks`): a clock set back must not prolong a session.
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
    session = request.session
    idle = settings.SESSION_IDLE_SECONDS - _elapsed(session.get(SEEN))
    is_staff = request.user.is_staff or request.user.is_superuser
    shift = settings.STAFF_SESSION_SECONDS - _elapsed(session.get(SINCE)) if is_staff else None
    return TimeLeft(idle, shift)


def _elapsed(since: Any) -> float:
    if since is None:
        return 0.0
    # A number was stored by a version that knew one clock only.
    return clocks.elapsed(since if isinstance(since, list) else [since, "", 0.0])


def end(request: HttpRequest) -> None:
    """End an expired session; the request continues as anonymous."""
    record_access(request.user, what="session-over", by=request.user)  # type: ignore[arg-type]
    UserSession.objects.filter(session_key=request.session.session_key).delete()
    request.session.flush()
    request.user = AnonymousUser()


def note_use(request: HttpRequest) -> None:
    """Store that the session is in use, at most once a minute."""
    session = request.session
    session.setdefault(SINCE, clocks.moment())
    often = min(SEEN_EVERY_S, settings.SESSION_IDLE_SECONDS / 4)
    if isinstance(session.get(SEEN), list) and _elapsed(session[SEEN]) < often:
        return
    session[SEEN] = clocks.moment()
    UserSession.objects.filter(
        session_key=request.session.session_key, user_id=request.user.pk
    ).update(last_seen_at=timezone.now(), ip=client_address(request) or "0.0.0.0")  # noqa: S104


def start(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    if request is not None and hasattr(request, "session"):
        request.session[SEEN] = request.session[SINCE] = clocks.moment()
