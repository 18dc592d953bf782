"""Receivers of other apps' signals; what the audit log records is in `audit_events`."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from allauth.mfa.signals import authenticator_added
from django.apps import apps
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate, post_save
from django.http import HttpRequest

from accounts import services, session_limits, two_factor
from accounts.audit import anchoring
from accounts.models import AuditEntry, User


def connect() -> None:
    """Connect every receiver of this app."""
    email_confirmed.connect(notify_approvers, dispatch_uid=f"{__name__}.notify_approvers")
    user_logged_in.connect(session_limits.start, dispatch_uid=f"{__name__}.session_start")
    authenticator_added.connect(
        two_factor.start_session_with_factor, dispatch_uid=f"{__name__}.factor_added"
    )
    post_save.connect(
        anchoring.after_row, sender=AuditEntry, dispatch_uid=f"{__name__}.anchor_moved"
    )
    post_migrate.connect(
        anchoring.after_migrate,
        sender=apps.get_app_config("accounts"),
        dispatch_uid=f"{__name__}.log_started",
    )


def notify_approvers(request: HttpRequest, email_address: EmailAddress, **kwargs: Any) -> None:
    """Email the supervisors when an applicant has verified an address for the first time."""
    user = User.objects.get(pk=email_address.user_id)
    had_one = EmailAddress.objects.filter(user=user, verified=True).exclude(pk=email_address.pk)
    if user.approval == User.Approval.PENDING and not had_one.exists():
        services.tell_deciders(user=user, site=request.build_absolute_uri("/").rstrip("/"))
