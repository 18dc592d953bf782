"""The time zones that accounts can choose."""

import zoneinfo

from accounts.models import User


def zone_of(user: User) -> zoneinfo.ZoneInfo | None:
    """Return the account's own zone; None for the site's, and for one that is none any more."""
    if not user.time_zone:
        return None
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None


def choices() -> list[tuple[str, str]]:
    """Return the zones that a place gives its name to."""
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name)
    return [(name, name.replace("_", " ")) for name in names if not name.startswith("Etc/")]
