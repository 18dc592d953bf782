from django.http import HttpRequest

from xraysite import __version__


def site(request: HttpRequest) -> dict[str, str]:
    """Add the version of xraysite."""
    return {"site_version": __version__}
