"""How often an account may upload, post, share and export, counted like failed sign-ins.

The limits are `settings.ACCOUNT_LIMITS`, counted in the cache that all processes and hosts share.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.core.internal import ratelimit
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User

UPLOAD, TOPIC, POST, PICTURE = "upload", "topic", "post", "picture"
SHARE, EXPORT, DICOMWEB = "share", "export", "dicomweb"
_APP = "xraysite"
MINUTE_S, HOUR_S = 60, 3600


class TooManyError(Exception):
    """Raised when an account has reached a limit.

    Args:
        action: what was tried.
        seconds: time to wait until it is possible again.
    """

    def __init__(self, action: str, seconds: float) -> None:
        super().__init__(action, seconds)
        self.action, self.seconds = action, seconds

    def __str__(self) -> str:
        """Return the message for the user, in the active language."""
        texts = {
            UPLOAD: _("You have uploaded many X-rays in a short time. Try again in %(wait)s."),
            TOPIC: _("You have started many topics in a short time. Try again in %(wait)s."),
            POST: _("You have posted many replies in a short time. Try again in %(wait)s."),
            PICTURE: _("You have added many images in a short time. Try again in %(wait)s."),
            SHARE: _("You have shared many cases in a short time. Try again in %(wait)s."),
            EXPORT: _("You have exported many lists in a short time. Try again in %(wait)s."),
            DICOMWEB: _("Your programs have sent many requests. Try again in %(wait)s."),
        }
        return texts[self.action] % {"wait": _in_words(self.seconds)}


@contextmanager
def counted(action: str, user: User) -> Iterator[None]:
    """Count an action of an account, unless it fails.

    Raises:
        TooManyError: the account has reached a limit; the action is not tried.
    """
    usage = take(action, user)
    try:
        yield
    except BaseException:
        usage.rollback()
        raise


def take(action: str, user: User) -> ratelimit.RateLimitUsage:
    """Count an action of an account.

    Raises:
        TooManyError: the account has reached a limit.
    """
    if not settings.ACCOUNT_LIMITS.get(action):
        return ratelimit.RateLimitUsage(usage=[])
    # One transaction instead of three, each of which is synced to disk and, on SQLite, excludes
    # all others. Requests of the account count one after the other.
    with transaction.atomic():
        list(User.objects.select_for_update(no_key=True).filter(pk=user.pk).values_list("pk"))
        if (wait := _wait(action, user)) > 0:
            raise TooManyError(action, wait)
        usage = ratelimit.consume(None, **_limit(action, user))
        if usage is None:  # a lock that a killed process has left
            raise TooManyError(action, max(_wait(action, user), 1.0))
    return usage


def _limit(action: str, user: User) -> dict[str, Any]:
    rates = ",".join(f"{rate}/user" for rate in settings.ACCOUNT_LIMITS.get(action, ()))
    # Without a method that `consume` would look at, so no request is needed.
    return {
        "app": _APP, "action": action, "config": {action: rates}, "user": user, "limit_get": True,
    }  # fmt: skip


def _wait(action: str, user: User) -> float:
    """Return the seconds until the action is possible; 0 if it is now."""
    limit, now = _limit(action, user), time.time()
    waits = [0.0]
    for rate in ratelimit.get_rates(app=_APP, action=action, config=limit["config"]):
        key = ratelimit.get_cache_key(None, app=_APP, action=action, rate=rate, user=user)
        times = ratelimit.cache.get(key, [])  # the latest first
        if len(times) >= rate.amount:
            waits.append(times[rate.amount - 1] + rate.duration - now)
    return max(waits)


def _in_words(seconds: float) -> str:
    if seconds > 2 * HOUR_S:
        hours = math.ceil(seconds / HOUR_S)
        return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    minutes = max(1, math.ceil(seconds / MINUTE_S))
    return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
