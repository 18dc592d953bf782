"""The page for too many attempts, which allauth shows when a rate limit is reached."""

from allauth.core.internal.ratelimit import handler429
from django.http import HttpRequest, HttpResponse

from accounts.audit.recording import record_access
from accounts.audit_events import record_about_address

# Pages on which an attempt is one to sign in.
SIGN_IN = frozenset({"account_login", "mfa_authenticate", "mfa_login_webauthn"})


def too_many_attempts(request: HttpRequest) -> HttpResponse:
    """Record the refused attempt and respond with 429."""
    match = request.resolver_match
    page = match.view_name if match is not None else ""
    if request.user.is_authenticated:
        record_access(request.user, what="attempt-refused", detail={"page": page})
    else:
        what = "sign-in-locked" if page in SIGN_IN else "attempt-refused"
        typed = request.POST.get("login") or request.POST.get("email") or ""
        record_about_address(typed, what, {"page": page})
    response: HttpResponse = handler429(request)
    return response
