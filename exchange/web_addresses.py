"""Addresses of other systems' services."""

from urllib.parse import urlsplit


def is_web_address(text: str) -> bool:
    """Return whether text is an address by HTTP(S) without user, query and fragment."""
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_address and not (parts.username or parts.query or parts.fragment)
