"""The page that explains two-factor authentication to staff."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.two_factor import REQUESTED_PAGE, factors_of, is_given, is_required


@require_safe
def explain(request: HttpRequest) -> HttpResponseBase:
    """Explain why staff need a second factor, and link to its set-up."""
    if not is_required(request.user):
        return redirect("mfa_index")
    if is_given(request, factors_of(request.user)):  # type: ignore[arg-type]
        return redirect(request.session.pop(REQUESTED_PAGE, "/"))
    return render(request, "accounts/second_factor.html")
