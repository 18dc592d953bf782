"""Times are shown in the zone that the account chose, else in the site's own."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from accounts.models import User

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class TimeZoneMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        zone = zone_of(request.user) if isinstance(request.user, User) else None
        with timezone.override(zone):
            return self.get_response(request)


def zone_of(user: User) -> zoneinfo.ZoneInfo | None:
    """Returns the account's own zone; None for the site's, and for one that is none any more."""
    if not user.time_zone:
        return None
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None


def choices() -> list[tuple[str, str]]:
    """Returns the zones that a place gives its name to."""
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name)
    return [(name, name.replace("_", " ")) for name in names if not name.startswith("Etc/")]
