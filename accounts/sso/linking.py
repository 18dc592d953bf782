"""An existing account is connected once its owner has signed in to it in the same browser.

Whoever controls an account at the provider thereby does not get the account of the same address
here: that takes its password, and its second factor if it has one.
"""

from dataclasses import asdict

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.sso import config, services
from accounts.sso.claims import Claims
from xraysite.common import clocks

PENDING = "sso_pending_connection"
# The field of the sign-in form.
CONSENT = "connect"
MAX_AGE_S = 600


def remember(request: HttpRequest, *, user: User, uid: str, claims: Claims) -> None:
    """Keep in the session who may be connected to `user` after a sign-in."""
    request.session[PENDING] = {
        "user": user.pk,
        "provider": config.key_of(config.required()),
        "uid": uid,
        "claims": asdict(claims),
        "since": clocks.moment(),
    }


def is_pending(request: HttpRequest) -> bool:
    return PENDING in request.session and config.current() is not None


def note_consent(request: HttpRequest) -> None:
    """Keep whether the sign-in form was sent with its box for connecting the account ticked.

    Somebody who signs in without having seen the box connects nothing.
    """
    if is_pending(request):
        kept = request.session[PENDING]
        request.session[PENDING] = kept | {"agreed": CONSENT in request.POST}


def finish(request: HttpRequest, user: User, *, site: str) -> None:
    """Connect the account that has just signed in, if it is the one that was waited for."""
    pending = request.session.pop(PENDING, None)
    provider = config.current()
    if pending is None or provider is None or not pending.get("agreed"):
        return
    if clocks.elapsed(pending["since"]) > MAX_AGE_S:
        return
    if pending["user"] != user.pk or pending["provider"] != config.key_of(provider):
        text = _("You signed in to another account, which has not been connected to %(hospital)s.")
        messages.warning(request, text % {"hospital": config.name_of(provider)})
        return
    claims = Claims(**pending["claims"] | {"groups": tuple(pending["claims"]["groups"])})
    try:
        services.connect(user=user, uid=pending["uid"], by=user, site=site)
    except services.ConnectionRefusedError:
        text = _("The account was not connected, because it is connected to somebody else already.")
        messages.error(request, text)
        return
    services.apply_claims(user=user, claims=claims)
    text = _("Your account is connected: from now on, sign in with %(hospital)s.")
    messages.success(request, text % {"hospital": config.name_of(provider)})
