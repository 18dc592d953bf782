"""Browsers that signed in to an account before.

Guessing from many addresses locks an account for everybody, its owner included. A browser in which
the owner signed in before holds a signed cookie and has a limit of its own instead, which nobody
else can use up (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). The cookie does
not replace the password or the second factor.
"""

import secrets
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import constant_time_compare

from accounts.models import User

COOKIE_NAME = "known_device"
COOKIE_PATH = "/accounts/"
MAX_AGE_S = 180 * 24 * 3600
# Accounts of one browser: the workstation of a ward. The one not used for longest is forgotten.
MAX_ACCOUNTS = 20
_SALT = "accounts.known_devices"


def remember(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Mark the browser as known for this account, after a complete sign-in."""
    devices = {pk: entry for pk, entry in _read(request).items() if pk != str(user.pk)}
    devices[str(user.pk)] = [secrets.token_urlsafe(12), _proof(user)]
    kept = dict(list(devices.items())[-MAX_ACCOUNTS:])
    response.set_cookie(
        COOKIE_NAME,
        signing.dumps(kept, salt=_SALT, compress=True),
        max_age=MAX_AGE_S,
        path=COOKIE_PATH,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=True,
        samesite="Lax",
    )


def find(request: HttpRequest, email: str) -> str | None:
    """Return the browser's identifier for an account, or None if it is not known there.

    A password that was changed or reset since makes every browser unknown.
    """
    devices = _read(request)
    if not devices or not email:
        return None
    user = User.objects.filter(pk__in=list(devices), email__iexact=email).first()
    if user is None:
        return None
    identifier, proof = devices[str(user.pk)]
    return str(identifier) if constant_time_compare(str(proof), _proof(user)) else None


def _proof(user: User) -> str:
    """Return a value that changes with the password."""
    return user.get_session_auth_hash()[:20]


def _read(request: HttpRequest) -> dict[str, list[Any]]:
    try:
        devices = signing.loads(request.COOKIES.get(COOKIE_NAME, ""), salt=_SALT, max_age=MAX_AGE_S)
    except signing.BadSignature:
        return {}
    return devices if isinstance(devices, dict) else {}
