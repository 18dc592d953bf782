"""Signing out at the provider too, so that nobody else at the computer gets in without asking."""

from urllib.parse import urlencode

import requests
from allauth.socialaccount.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.sso import config
from accounts.sso.provider import ProblemError
from xraysite.common.sign_in_provider import OIDC


def provider_page(request: HttpRequest) -> str:
    """Return the provider's address for signing out; "" if this session does not use it."""
    provider, user = config.current(), request.user
    if provider is None or not provider.signs_out or not isinstance(user, User):
        return ""
    if not config.provider_of(request, user):
        return ""
    if provider.sign_out_url or provider.kind != OIDC:
        return provider.sign_out_url
    try:
        app = get_adapter().get_app(request, provider="openid_connect")
        adapter = app.get_provider(request).get_oauth2_adapter(request)
        address = str(adapter.openid_config.get("end_session_endpoint", ""))
    except (requests.RequestException, ProblemError, ValueError):
        text = _("You are signed out here, but %(hospital)s does not respond. Sign out there too.")
        messages.warning(request, text % {"hospital": config.name_of(provider)})
        return ""
    if not address:
        return ""
    back = request.build_absolute_uri(reverse("home"))
    query = urlencode({"client_id": provider.client_id, "post_logout_redirect_uri": back})
    return f"{address}{'&' if '?' in address else '?'}{query}"
