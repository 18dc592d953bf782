"""The audit events of accounts: signing in, passwords, two-factor authentication, approval."""

from typing import Any

from allauth.mfa import signals as mfa_signals
from allauth.mfa.models import Authenticator
from auditlog.registry import auditlog
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models.signals import post_save
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from accounts.audit.models import current_event
from accounts.audit.recording import record_access, record_event
from accounts.models import User
from accounts.sso import config as sso_config

EVENTS = {
    "sign-in": _("signed in"),
    "sign-in-failed": _("failed to sign in"),
    "sign-in-locked": _("tried to sign in while locked out"),
    "sign-out": _("signed out"),
    "session-over": _("session expired"),
    "session-ended": _("ended a session"),
    "password-changed": _("changed the password"),
    "password-reset-asked": _("asked for a link to reset the password"),
    "attempt-refused": _("was refused because of too many attempts"),
    "password-reset": _("reset the password by an emailed link"),
    "password-set": _("set the password of another account"),
    "audit-entry": _("viewed an audit log entry"),
    "audit-list": _("viewed a list of audit log entries"),
    "picture-changed": _("changed profile picture"),
    "second-factor-added": _("added a second factor"),
    "second-factor-removed": _("removed a second factor"),
    "second-factor-given": _("passed two-factor authentication"),
    "second-factor-failed": _("failed two-factor authentication"),
    "second-factor-reset": _("two-factor authentication reset"),
    "recovery-codes-made": _("generated recovery codes"),
    "recovery-code-used": _("used a recovery code"),
    "role-changed": _("changed roles"),
    "approved": _("approved the account"),
    "rejected": _("rejected the account"),
    "suspended": _("suspended the account"),
    "reinstated": _("reinstated the account"),
    "approval-changed": _("changed the approval status"),
}
# How a password can be set; `_record_password` takes the name from the surrounding `event`.
PASSWORD_EVENTS = frozenset({"password-changed", "password-reset", "password-set"})
FIELD_EVENTS = {
    ("user", "groups"): "role-changed",
    ("user", "user_permissions"): "role-changed",
    ("user", "is_superuser"): "role-changed",
    ("user", "is_staff"): "role-changed",
    ("user", "approval"): "approval-changed",
}
# Neither the password nor `last_login`, which has an event of its own.
RECORDED_FIELDS = [
    "email", "display_name", "hospital", "department", "licence_number", "language", "time_zone",
    "blind_first",
    "approval", "approval_reason", "approval_decided_by", "is_active", "is_staff", "is_superuser",
]  # fmt: skip


def register() -> None:
    """Register the events and models of this app, and connect the signals that are recorded."""
    registry.register(EVENTS, fields=FIELD_EVENTS, always=["accounts.user"])
    auditlog.register(
        User, include_fields=RECORDED_FIELDS, m2m_fields={"groups", "user_permissions"}
    )
    for signal, receiver in (
        (user_logged_in, _record_sign_in),
        (user_logged_out, _record_sign_out),
        (user_login_failed, _record_failed_sign_in),
        (post_save, _record_password),
        (mfa_signals.authenticator_added, _record_added),
        (mfa_signals.authenticator_removed, _record_removed),
        (mfa_signals.authenticator_reset, _record_new_codes),
        (mfa_signals.authenticator_used, _record_used),
        (mfa_signals.authentication_failed, _record_failed_factor),
    ):
        signal.connect(receiver, dispatch_uid=f"{__name__}.{receiver.__name__}")


def _record_password(sender: type, instance: Any, created: bool, **kwargs: Any) -> None:
    """Record a new password, whichever page or command sets it.

    Django keeps the raw password in `_password` from `set_password` until the row is saved. The
    rehashing of an unchanged password sets it to None.
    """
    if sender is not User or created or instance._password is None:
        return
    named = current_event.get()
    what = named[0] if named and named[0] in PASSWORD_EVENTS else "password-changed"
    record_access(instance, what=what)


def _record_sign_in(sender: type, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    name = sso_config.provider_of(request, user)
    if name:
        record_access(user, what="sign-in-by-provider", by=user, detail={"provider": name})
    else:
        record_access(user, what="sign-in", by=user)


def _record_sign_out(
    sender: type, request: HttpRequest | None, user: User | None, **kwargs: Any
) -> None:
    if user is not None:
        record_access(user, what="sign-out", by=user)


def _record_failed_sign_in(
    sender: str, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    record_refused_sign_in(credentials, what="sign-in-failed")


def record_refused_sign_in(credentials: dict[str, Any], *, what: str) -> None:
    """Record a refused sign-in; what was typed is only stored if it is an email address.

    Args:
        credentials: what was typed, with the keys `email` or `username`.
        what: the event's code.
    """
    record_about_address(str(credentials.get("email") or credentials.get("username") or ""), what)


def record_about_address(typed: str, what: str, detail: dict[str, Any] | None = None) -> None:
    """Record an event of somebody who has not signed in, about the account of an address.

    Args:
        typed: what was typed; only stored if it is an email address.
        what: the event's code.
        detail: further facts.
    """
    user = User.objects.filter(email=typed.strip().lower()).first() if typed else None
    if user is not None:
        record_access(user, what=what, detail=detail)
        return
    try:
        validate_email(typed)
    except ValidationError:
        typed = "(not an e-mail address)"
    record_event(User, what=what, about=typed[:254], detail=detail or {})


def _record_added(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _record_factor(user, authenticator, "second-factor-added")


def _record_removed(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _record_factor(user, authenticator, "second-factor-removed")


def _record_new_codes(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _record_factor(user, authenticator, "recovery-codes-made")


def _record_used(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    is_code = authenticator.type == Authenticator.Type.RECOVERY_CODES
    _record_factor(user, authenticator, "recovery-code-used" if is_code else "second-factor-given")


def _record_failed_factor(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    record_access(user, what="second-factor-failed", detail={"type": authenticator.type})


def _record_factor(user: User, authenticator: Authenticator, what: str) -> None:
    record_access(user, what=what, by=user, detail={"type": authenticator.type})
