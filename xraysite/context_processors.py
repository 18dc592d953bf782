from typing import Any

from django.conf import settings
from django.http import HttpRequest

from xraysite import __version__


def site(request: HttpRequest) -> dict[str, Any]:
    """Add the version of xraysite, and whether X-rays may wait in the browser."""
    return {"site_version": __version__, "offline_enabled": settings.OFFLINE}
