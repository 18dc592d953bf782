"""The middleware of accounts, in the order in which settings list it."""

from collections.abc import Callable
from typing import Any

from auditlog.middleware import AuditlogMiddleware
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from accounts import session_limits, time_zones, two_factor
from accounts.models import User
from accounts.tokens import services as tokens
from xraysite.common.client_address import client_address
from xraysite.common.dates import roc_years

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# View names open to accounts that are not approved. Anything not listed is closed.
OPEN_WITHOUT_APPROVAL = frozenset(
    {
        "accounts:status",
        "about",
        "api_page",
        "favicon",
        "healthz",
        "manifest",
        "metrics",
        "offline",
        "readyz",
        "service_worker",
        "set_language",
        "account_logout",
        # The session's remaining time.
        "accounts:session",
        "accounts:stay",
        # Applicants may correct their address and password.
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
# View names open to staff whose session has not passed a second factor.
OPEN_WITHOUT_FACTOR = frozenset(
    {
        "about",
        "api_page",
        "accounts:second_factor",
        "accounts:session",
        "accounts:stay",
        "account_logout",
        "account_reauthenticate",
        "favicon",
        "healthz",
        "manifest",
        "metrics",
        "offline",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
        "readyz",
        "service_worker",
        "set_language",
    }
)
# Open as well to staff who have no second factor yet: the pages that set one up.
OPEN_FOR_SETUP = frozenset({"mfa_activate_totp", "mfa_add_webauthn", "mfa_index"})


class TokenMiddleware:
    """Signs programs in by their token, on the addresses for programs only.

    There, cookies count for nothing: a page elsewhere cannot make a doctor's browser act, and a
    session does not replace a token. Elsewhere, tokens count for nothing.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(settings.TOKEN_PATHS):
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
            try:
                row = tokens.authenticate(request)
            except tokens.TokenError as error:
                row, request.token_error = None, error  # type: ignore[attr-defined]
            request.user = row.owner if row is not None else AnonymousUser()
        return self.get_response(request)


class ApprovalRequiredMiddleware:
    """Redirects accounts that are not approved to their status page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_program = request.path.startswith(settings.TOKEN_PATHS)
        # There, nobody is signed in without a token: a doctor who opens such an address stays so.
        if not is_program and SESSION_KEY in request.session and not request.user.is_authenticated:
            # The account was suspended or deleted: its session must not come back with it.
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
        if match is not None and match.view_name in OPEN_WITHOUT_APPROVAL:
            return None
        return HttpResponseRedirect(reverse("accounts:status"))


class TwoFactorRequiredMiddleware:
    """Redirects staff until their session has passed a second factor."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        if tokens.token_of(request) is not None or not two_factor.is_required(request.user):
            return None
        factors = two_factor.factors_of(request.user)  # type: ignore[arg-type]
        if two_factor.is_given(request, factors):
            return None
        match = request.resolver_match
        name = match.view_name if match is not None else ""
        if name in OPEN_WITHOUT_FACTOR or (not factors and name in OPEN_FOR_SETUP):
            return None
        if request.method == "GET":
            request.session[two_factor.REQUESTED_PAGE] = request.get_full_path()
        return HttpResponseRedirect(two_factor.entry_page(request, factors))


class SessionLimitsMiddleware:
    """Ends expired sessions and stores the activity of the others."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated and tokens.token_of(request) is None:
            if session_limits.time_left(request).seconds <= 0:
                session_limits.end(request)
            elif request.path not in {reverse(name) for name in settings.BACKGROUND_URLS}:
                session_limits.note_use(request)
        return self.get_response(request)


class TimeZoneMiddleware:
    """Activates time zone and years chosen in the profile, or the site's default."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user = request.user if isinstance(request.user, User) else None
        zone = time_zones.zone_of(user) if user is not None else None
        with timezone.override(zone), roc_years(user is not None and user.roc_years):
            return self.get_response(request)


class PrivatePagesMiddleware:
    """Keeps pages of signed-in users out of all caches, including the browser's.

    On a shared computer, the Back button must not show the previous doctor's patient.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.user.is_authenticated:
            response.headers["Cache-Control"] = "private, no-store"
        return response


class AuditMiddleware(AuditlogMiddleware):
    """Adds the user and the client's address to each audit row."""

    @staticmethod
    def _get_remote_addr(request: HttpRequest) -> str | None:
        return client_address(request)

    @staticmethod
    def _get_remote_port(request: HttpRequest) -> int | None:
        port = request.META.get("REMOTE_PORT", "")
        return int(port) if str(port).isdigit() else None
