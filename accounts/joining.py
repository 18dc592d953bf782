"""What an applicant sees until somebody has decided, and who is told that one waits."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import services
from accounts.models import User


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponseBase:
    """Shows an applicant how far the account is; an approved account has nothing to see here."""
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


@receiver(email_confirmed, dispatch_uid="accounts.joining.tell_deciders")
def tell_deciders(request: HttpRequest, email_address: EmailAddress, **kwargs: Any) -> None:
    """Mails the supervisors when an applicant has verified the first address."""
    user = User.objects.get(pk=email_address.user_id)
    had_one = EmailAddress.objects.filter(user=user, verified=True).exclude(pk=email_address.pk)
    if user.approval == User.Approval.PENDING and not had_one.exists():
        services.tell_deciders(user=user, site=request.build_absolute_uri("/").rstrip("/"))
