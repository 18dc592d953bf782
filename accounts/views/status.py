"""The status page of an account that is not approved."""

from allauth.account.models import EmailAddress
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponseBase:
    """Show applicants the state of their account; approved users are redirected."""
    user = User.objects.get(email=request.user.get_username())
    if user.is_approved:
        return redirect("home")
    verified = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return render(
        request,
        "accounts/status.html",
        {
            "is_rejected": user.approval == User.Approval.REJECTED,
            "verified_email": verified.first(),
        },
    )
