"""Roles, approval and connections of accounts that sign in with the hospital's provider."""

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import mails, services
from accounts.audit import recording
from accounts.models import User
from accounts.roles import IN_ADMIN
from accounts.services import DECIDE, end_sessions, grantable_roles, roles_of
from accounts.sso import config
from accounts.sso.claims import Claims
from accounts.sso.models import ConnectionRequest, ProviderGrant

# Identifiers of people who ask for the same account; more are no honest mistake.
MAX_REQUESTS = 10


class ConnectionRefusedError(Exception):
    """Raised when the account has another identity, or the identity another account."""


def owner_of(email: str) -> User | None:
    """Return the account that uses the address, also as one that is verified but not primary."""
    verified = EmailAddress.objects.filter(email__iexact=email, verified=True).values("user")
    return User.objects.filter(Q(email__iexact=email) | Q(pk__in=verified)).order_by("pk").first()


@transaction.atomic
def apply_claims(*, user: User, claims: Claims) -> User:
    """Give and take the roles that the provider decides, at a sign-in.

    Roles that a supervisor gave stay. Superusers are never changed.

    Returns:
        The account as it is now.
    """
    provider = config.required()
    subject = User.objects.select_for_update().get(pk=user.pk)
    if subject.is_superuser:
        return subject
    grant, _new = ProviderGrant.objects.select_for_update().get_or_create(user=subject)
    wanted, held = provider.roles_of(claims.groups), set(roles_of(subject))
    given = set(grant.roles) & held
    gained, lost = wanted - held, given - wanted
    if gained or lost:
        detail = {"provider": provider.name, "given": sorted(gained), "taken": sorted(lost)}
        with recording.event("roles-from-provider", **detail):
            subject.groups.remove(*Group.objects.filter(name__in=lost))
            subject.groups.add(*Group.objects.filter(name__in=gained))
            subject.is_staff = bool(IN_ADMIN & ((held | gained) - lost))
            subject.save(update_fields=["is_staff"])
    grant.roles = sorted((given & wanted) | gained)
    _approve_or_withdraw(subject, grant, is_member=bool(wanted))
    grant.save()
    return subject


def _approve_or_withdraw(subject: User, grant: ProviderGrant, *, is_member: bool) -> None:
    """Approve an applicant in a named group; withdraw that when the person leaves the groups."""
    provider, state = config.required(), User.Approval
    if provider.approves and is_member and subject.approval == state.PENDING:
        approval, event = state.APPROVED, "approved-by-provider"
    elif (
        grant.has_approved
        and not is_member
        and subject.approval == state.APPROVED
        and subject.approval_decided_by_id is None
    ):
        approval, event = state.PENDING, "approval-withdrawn"
        end_sessions(subject)
    else:
        return
    grant.has_approved = approval == state.APPROVED
    with recording.event(event, provider=provider.name):
        subject.approval = approval
        subject.approval_reason = ""
        subject.approval_decided_by = None
        subject.approval_decided_at = timezone.now()
        subject.save(update_fields=services.DECIDED_FIELDS)


@transaction.atomic
def request_connection(*, user: User, uid: str, claims: Claims) -> None:
    """Keep who asks for an existing account, so that a supervisor can connect it."""
    key = config.key_of(config.required())
    asked = ConnectionRequest.objects.filter(user=user)
    if not asked.filter(provider=key, uid=uid).exists() and asked.count() >= MAX_REQUESTS:
        return
    facts = {"name": claims.name[:200], "email_verified": claims.email_verified}
    ConnectionRequest.objects.update_or_create(user=user, provider=key, uid=uid, defaults=facts)
    recording.record_access(user, what="connection-asked", detail={"identifier": uid})


@transaction.atomic
def connect(*, user: User, uid: str, by: User, site: str = "") -> SocialAccount:
    """Let a person of the provider sign in to an existing account, and email its owner.

    Call it only once the owner has signed in to the account, or a supervisor has decided.

    Raises:
        ConnectionRefusedError: the account is connected to somebody else, or the person to
            another account.
    """
    provider = config.required()
    key = config.key_of(provider)
    list(User.objects.select_for_update().filter(pk=user.pk))
    known = SocialAccount.objects.filter(Q(user=user) | Q(uid=uid), provider=key)
    others = [each for each in known if (each.user_id, each.uid) != (user.pk, uid)]
    if others:
        raise ConnectionRefusedError
    account, is_new = SocialAccount.objects.get_or_create(provider=key, uid=uid, user=user)
    ConnectionRequest.objects.filter(user=user).delete()
    if is_new:
        detail = {"provider": provider.name, "identifier": uid}
        recording.record_access(user, what="connected", by=by, detail=detail)

        def tell() -> None:
            mails.send("connected", to=[user], provider=provider, by=by, site=site)

        mails.when_committed(tell)
    return account


@transaction.atomic
def connect_request(*, by: User, request: ConnectionRequest, site: str = "") -> SocialAccount:
    """Connect the person of a request, as a supervisor.

    Raises:
        PermissionDenied: `by` may not decide about this account.
        ConnectionRefusedError: as for `connect`.
    """
    user: User = request.user
    if not may_connect(by, user):
        raise PermissionDenied
    account = connect(user=user, uid=request.uid, by=by, site=site)
    if not EmailAddress.objects.filter(user=user, verified=True).exists():
        # Whoever applied with this address never proved that it is theirs.
        with recording.event("password-set"):
            user.set_unusable_password()
            user.save(update_fields=["password"])
        end_sessions(user)
        user.vouch_for_email()
    return account


@transaction.atomic
def disconnect(*, by: User, user: User) -> int:
    """Remove the account's connection to the provider, its sessions, and the provider's roles.

    Returns:
        The number of connections removed.

    Raises:
        PermissionDenied: `by` may not decide about this account.
    """
    if not may_connect(by, user):
        raise PermissionDenied
    removed, _kinds = SocialAccount.objects.filter(user=user).delete()
    if removed:
        recording.record_access(user, what="disconnected", by=by)
        end_sessions(user)
        if config.current() is not None:
            apply_claims(user=user, claims=Claims())
    return removed


def may_connect(by: User, user: User) -> bool:
    """Return whether `by` may decide who signs in to the account: not to one with more rights."""
    if not by.has_perm(DECIDE) or by.pk == user.pk:
        return False
    if user.is_superuser and not by.is_superuser:
        return False
    return set(roles_of(user)) <= set(grantable_roles(by))
