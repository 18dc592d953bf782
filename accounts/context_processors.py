"""What every template may ask about accounts."""

from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.http import HttpRequest

from accounts.models import User
from accounts.session_limits import WARN_S, time_left


def waiting(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """Give templates the number of accounts that wait; asked of the database when first used."""
    return {"accounts_waiting": cache(lambda: User.objects.waiting().count())}


def session(request: HttpRequest) -> dict[str, float]:
    """Tell the pages how long the session has left, and when to warn."""
    # The page of an error may be made before anybody knows whose request it is.
    if not hasattr(request, "user") or not request.user.is_authenticated:
        return {}
    return {
        "session_seconds_left": time_left(request).seconds,
        "session_warn_seconds": min(WARN_S, settings.SESSION_IDLE_SECONDS / 3),
    }
