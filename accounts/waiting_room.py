"""Where an account stays that nobody has approved: its own status page, and the way out.

Deny by default: an address that is not named here is closed, also one that strangers may see.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

GetResponse = Callable[[HttpRequest], HttpResponseBase]

OPEN_TO_WAITING = frozenset(
    {
        "accounts:status",
        "about",
        "favicon",
        "healthz",
        "set_language",
        "account_logout",
        # How long the session lasts.
        "accounts:session",
        "accounts:stay",
        # The address and the password stay one's own to set right.
        "account_change_password",
        "account_confirm_email",
        "account_email",
        "account_email_verification_sent",
        "account_reauthenticate",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key",
        "account_reset_password_from_key_done",
    }
)


class WaitingRoomMiddleware:
    """Sends an account that is not approved to its status page, whatever it asks for."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if SESSION_KEY in request.session and not request.user.is_authenticated:
            # Of an account that was suspended or deleted: it must not revive with the account.
            request.session.flush()
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        if not request.user.is_authenticated or request.user.is_approved:
            return None
        match = request.resolver_match
        if match is not None and match.view_name in OPEN_TO_WAITING:
            return None
        return HttpResponseRedirect(reverse("accounts:status"))
