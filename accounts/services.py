"""Changes to accounts: each function checks, changes and audits in one transaction."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import mails, roles
from accounts.audit import recording
from accounts.backends import ApprovedAccountBackend
from accounts.models import User
from accounts.tokens.services import revoke_tokens_of
from accounts.user_agents import device_of
from xraysite.common.dates import long_datetime

DECIDE = "accounts.decide_user"


@transaction.atomic
def create_account(
    *,
    email: str,
    display_name: str,
    password: str,
    role: str,
    hospital: str = "",
    department: str = "",
) -> User:
    """Create an approved account with one role.

    Args:
        role: a key of `roles.PERMISSIONS`; the roles in `roles.IN_ADMIN` have access to the admin.

    Raises:
        ValueError: the role is unknown.
    """
    if role not in roles.PERMISSIONS:
        raise ValueError(
            f"Unknown role. Received: {role!r}. Roles: {', '.join(roles.PERMISSIONS)}."
        )
    user = User.objects.create_user(
        email,
        password,
        display_name=display_name,
        hospital=hospital,
        department=department,
        approval=User.Approval.APPROVED,
        is_staff=role in roles.IN_ADMIN,
    )
    user.groups.add(Group.objects.get(name=role))
    user.vouch_for_email()
    return user


def update_profile(*, user: User) -> User:
    """Save the profile fields that users may edit themselves."""
    user.save(
        update_fields=[
            "display_name", "hospital", "department", "language", "time_zone", "roc_years",
            "show_heatmap", "blind_first",
        ]
    )  # fmt: skip
    return user


class DecisionRefusedError(Exception):
    """Raised when a decision is not possible; the message explains why to the user."""


@dataclass(frozen=True)
class Act:
    """A decision that can be made about an account.

    Attributes:
        name: part of the admin URL.
        starts: approval states in which the decision is possible.
        ends: approval state afterwards.
    """

    name: str
    starts: frozenset[str]
    ends: str


DECIDED_FIELDS = [
    "approval", "approval_reason", "approval_decided_by", "approval_decided_at", "is_staff",
]  # fmt: skip

_State = User.Approval
APPROVE = Act("approve", frozenset({_State.PENDING, _State.REJECTED}), _State.APPROVED)
REJECT = Act("reject", frozenset({_State.PENDING}), _State.REJECTED)
SUSPEND = Act("suspend", frozenset({_State.APPROVED}), _State.SUSPENDED)
REINSTATE = Act("reinstate", frozenset({_State.SUSPENDED}), _State.APPROVED)
CHANGE_ROLE = Act("role", frozenset({_State.APPROVED}), _State.APPROVED)


@dataclass
class Decision:
    """The outcome of a decision.

    Attributes:
        user: the account as it is now.
        changed: False if the same decision had already been made.
        mailed: whether the notification email was sent; None if none was due.
    """

    user: User
    changed: bool = True
    mailed: bool | None = None


def grantable_roles(by: User) -> list[str]:
    """Return the roles that `by` may assign; supervisors may only assign doctor."""
    return list(roles.PERMISSIONS) if by.is_superuser else [roles.DOCTOR]


def roles_of(user: User) -> list[str]:
    held = user.groups.filter(name__in=roles.PERMISSIONS).values_list("name", flat=True)
    return sorted(held)


def deciders() -> QuerySet[User]:
    """Return the approved accounts that may decide on applicants."""
    return (
        ApprovedAccountBackend()
        .with_perm(DECIDE)
        .filter(approval=User.Approval.APPROVED)
        .order_by("email")
    )


def refusal(*, by: User, user: User, act: Act) -> Promise | str | None:
    """Return why `by` cannot make this decision about `user` now, or None if it is possible."""
    if by.pk == user.pk:
        return _("You cannot review your own account.")
    if user.is_superuser and not by.is_superuser:
        return _("Only a superuser can review a superuser's account.")
    if user.approval not in act.starts:
        return standing(user)
    if act is APPROVE and not _has_verified_address(user):
        return _(
            "The email address has not been verified yet, so the owner of this account is unknown."
        )
    given_or_taken = roles_of(user) if act in (REINSTATE, CHANGE_ROLE) else []
    if not set(given_or_taken) <= set(grantable_roles(by)):
        return _("Only a superuser can assign or remove this account's roles.")
    return None


def approve_account(*, by: User, user: User, role: str, site: str = "") -> Decision:
    """Approve an applicant with one role and notify them by email.

    Args:
        role: one of `grantable_roles(by)`.
        site: base URL of the site, for the link in the email.

    Raises:
        PermissionDenied: `by` may not decide, or not assign this role.
        DecisionRefusedError: the account is neither pending nor rejected, or is the user's own.
    """
    _require_role(by, role)

    def change(subject: User) -> None:
        _set_role(subject, role)

    return _decide(by, user, APPROVE, "approved", change=change, detail={"role": role}, site=site)


def reject_account(*, by: User, user: User, reason: str, site: str = "") -> Decision:
    """Reject an applicant and email the reason. Raises the same errors as `approve_account`."""
    return _decide(by, user, REJECT, "rejected", reason=_required(reason), site=site)


def suspend_account(*, by: User, user: User, reason: str, site: str = "") -> Decision:
    """Suspend an account, end its sessions and revoke its tokens.

    Raises the same errors as `approve_account`.
    """

    def change(subject: User) -> None:
        end_access(by=by, user=subject)

    return _decide(
        by, user, SUSPEND, "suspended", reason=_required(reason), change=change, site=site
    )


def reinstate_account(*, by: User, user: User, site: str = "") -> Decision:
    """Reinstate a suspended account. Raises the same errors as `approve_account`."""
    return _decide(by, user, REINSTATE, "reinstated", site=site)


def change_role(*, by: User, user: User, role: str, site: str = "") -> Decision:
    """Replace the roles of an account. Raises the same errors as `approve_account`."""
    _require_role(by, role)

    def change(subject: User) -> None:
        _set_role(subject, role)

    return _decide(
        by, user, CHANGE_ROLE, "role-changed", change=change, detail={"role": role}, site=site
    )


@transaction.atomic
def admit(*, by: User, user: User, role: str) -> User:
    """Store an account created in the admin as approved, with one role.

    Raises:
        PermissionDenied: `by` may not assign this role.
    """
    _require_role(by, role)
    user.approval = User.Approval.APPROVED
    user.approval_decided_by = by
    user.approval_decided_at = timezone.now()
    user.save()
    _set_role(user, role)
    user.save(update_fields=["is_staff"])
    user.vouch_for_email()
    return user


@transaction.atomic
def vouch_for_new_address(*, user: User) -> None:
    """Make the address set by a superuser the account's only, verified address."""
    EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
    user.vouch_for_email()


def end_access(*, by: User, user: User) -> None:
    """End every session of the account, and revoke the tokens of its programs."""
    end_sessions(user)
    revoke_tokens_of(owner=user, by=by)


def end_sessions(user: User) -> None:
    """End every session of the account on all devices."""
    for session in UserSession.objects.filter(user=user):
        end_session(session)


@transaction.atomic
def end_session(session: UserSession) -> None:
    """End one session on the device that uses it."""
    detail = {"device": device_of(session.user_agent), "address": session.ip}
    session.end()
    recording.record_access(session.user, what="session-ended", detail=detail)


def announce_password(*, by: User, user: User, site: str = "") -> bool:
    """Email the owner that somebody else has set the account's password.

    Returns:
        Whether the email was sent.
    """
    return mails.send("password-set", to=[user], by=by, site=site)


def tell_deciders(*, user: User, site: str = "") -> bool:
    """Email the supervisors that an applicant is waiting; return whether it was sent."""
    return mails.send("waiting", to=deciders(), applicant=user, site=site)


def _decide(
    by: User,
    user: User,
    act: Act,
    event: str,
    *,
    reason: str = "",
    change: Callable[[User], None] | None = None,
    detail: dict[str, str] | None = None,
    site: str,
) -> Decision:
    """Check, change and audit a decision in one transaction, then send the email."""
    if not by.has_perm(DECIDE):
        raise PermissionDenied
    with transaction.atomic():
        subject = User.objects.select_for_update().get(pk=user.pk)
        if by.pk != user.pk and _is_done(subject, act, detail or {}):
            return Decision(subject, changed=False)
        why_not = refusal(by=by, user=subject, act=act)
        if why_not is not None:
            raise DecisionRefusedError(why_not)
        with recording.event(event, **({"reason": reason} if reason else {}), **(detail or {})):
            if act is not CHANGE_ROLE:
                subject.approval = act.ends
                subject.approval_reason = reason
                subject.approval_decided_by = by
                subject.approval_decided_at = timezone.now()
            if change is not None:
                change(subject)
            subject.save(update_fields=DECIDED_FIELDS)
        decision = Decision(subject)

        role = roles.NAMES.get((detail or {}).get("role", ""), "")

        def tell() -> None:
            decision.mailed = mails.send(event, to=[subject], reason=reason, role=role, site=site)

        mails.when_committed(tell)
    return decision


def _is_done(subject: User, act: Act, detail: dict[str, str]) -> bool:
    """Return whether the same decision has already been made."""
    if subject.approval != act.ends:
        return False
    return act.starts != {act.ends} or roles_of(subject) == [detail.get("role")]


def standing(user: User) -> str:
    """Return a sentence with the account's state and who decided it."""
    state = user.get_approval_display()
    if user.approval_decided_at is None or user.approval_decided_by is None:
        return str(_("Current state of this account: %(state)s.") % {"state": state})
    return str(
        _("Current state of this account: %(state)s (decided by %(name)s on %(when)s).")
        % {
            "state": state,
            "name": user.approval_decided_by,
            "when": long_datetime(user.approval_decided_at),
        }
    )


def _has_verified_address(user: User) -> bool:
    return EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists()


def _require_role(by: User, role: str) -> None:
    if role not in grantable_roles(by):
        raise PermissionDenied


def _required(reason: str) -> str:
    if not reason.strip():
        raise ValueError("A reason is required.")
    return reason.strip()


def _set_role(user: User, role: str) -> None:
    """Make `role` the user's only role; other groups stay."""
    others: Iterable[Group] = user.groups.filter(name__in=roles.PERMISSIONS).exclude(name=role)
    user.groups.remove(*others)
    user.groups.add(Group.objects.get(name=role))
    user.is_staff = user.is_superuser or role in roles.IN_ADMIN
