"""The time zones that accounts can choose."""

import zoneinfo
from functools import cache

from accounts.models import User


def zone_of(user: User) -> zoneinfo.ZoneInfo | None:
    """Return the account's time zone, or None for the site's default or an unknown zone."""
    if not user.time_zone:
        return None
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None


@cache  # listing them reads the headers of 600 files
def choices() -> tuple[tuple[str, str], ...]:
    """Return the time zones named after places, as choices of a form field."""
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name)
    return tuple((name, name.replace("_", " ")) for name in names if not name.startswith("Etc/"))
