"""Context processors of accounts."""

from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.http import HttpRequest

from accounts.models import User
from accounts.session_limits import WARN_S, time_left


def waiting(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """Add the number of accounts pending review, queried on first use."""
    return {"accounts_waiting": cache(lambda: User.objects.waiting().count())}


def session(request: HttpRequest) -> dict[str, float]:
    """Add the seconds until the session expires and until the warning is shown."""
    # Error pages may be rendered before the request has a user.
    if not hasattr(request, "user") or not request.user.is_authenticated:
        return {}
    return {
        "session_seconds_left": time_left(request).seconds,
        "session_warn_seconds": min(WARN_S, settings.SESSION_IDLE_SECONDS / 3),
    }
