from django.http import HttpRequest

from xraysite import __version__


def site(request: HttpRequest) -> dict[str, str]:
    """Give every template the version of the software that made the page."""
    return {"site_version": __version__}
