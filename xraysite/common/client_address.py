"""The client's IP address, taken from the connection or from trusted proxies."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(request: HttpRequest) -> str | None:
    """Return the client's IP address, or None if the connection has none (a Unix socket).

    `X-Forwarded-For` is read from the end, as far as its addresses belong to `TRUSTED_PROXIES`;
    anything before that can be forged. A Unix socket is a proxy on the same machine and trusted if
    the setting contains "unix".
    """
    connection = _parsed(request.META.get("REMOTE_ADDR", ""))
    if connection is None:
        if "unix" not in settings.TRUSTED_PROXIES:
            return None
    elif not _is_trusted(connection):
        return str(connection)
    nearest = connection
    for text in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        address = _parsed(text)
        if address is None:
            break
        nearest = address
        if not _is_trusted(address):
            break
    return str(nearest) if nearest is not None else None


def is_address(text: str) -> bool:
    return _parsed(text) is not None


def is_trusted_proxy(text: str) -> bool:
    """Return whether a connection comes from `TRUSTED_PROXIES`; a Unix socket has no address."""
    address = _parsed(text)
    return "unix" in settings.TRUSTED_PROXIES if address is None else _is_trusted(address)


def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _is_trusted(address: Address) -> bool:
    networks = (text for text in settings.TRUSTED_PROXIES if text != "unix")
    return any(address in ipaddress.ip_network(text) for text in networks)
