"""Two-factor authentication: which accounts need it, and whether a session has passed it.

Staff (supervisors, ML staff, superusers) reach only the pages that set up a second factor until
their session has passed one. For other accounts it is optional; allauth asks for it at sign-in.
"""

from typing import Any

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from accounts.audit.recording import record_access
from accounts.models import User
from accounts.sso.claims import Claims

# What allauth encrypts of a factor: of apps, of recovery codes, of those of its earlier versions.
ENCRYPTED = frozenset({"secret", "seed", "migrated_codes"})
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
# The type of a second factor that the hospital's provider asked for.
BY_PROVIDER = "provider"
# Session key: the page that staff asked for before they were sent to authenticate.
REQUESTED_PAGE = "second_factor_wanted_page"


def is_required(user: AbstractBaseUser | AnonymousUser) -> bool:
    return isinstance(user, User) and (user.is_staff or user.is_superuser)


def factors_of(user: User) -> set[int]:
    """Return the primary keys of the account's second factors.

    Recovery codes only count together with another factor.
    """
    found = dict(Authenticator.objects.filter(user=user).values_list("pk", "type"))
    return set(found) if set(found.values()) & set(FACTORS) else set()


def is_given(request: HttpRequest, factors: set[int]) -> bool:
    """Return whether this session has passed one of `factors`."""
    if not isinstance(request.user, User):
        return False
    records = get_authentication_records(request, request.user)
    return any(
        record.get("method") == "mfa"
        and (record.get("id") in factors or record.get("type") == BY_PROVIDER)
        for record in records
    )


def note_provider(request: HttpRequest, user: User, claims: Claims) -> None:
    """Mark the session as having passed the second factor that the provider states, if any."""
    if claims.second_factor:
        record_authentication(request, user, method="mfa", type=BY_PROVIDER)


def entry_page(request: HttpRequest, factors: set[int]) -> str:
    """Return the address where the user passes a second factor, or sets one up."""
    if not factors:
        return reverse("accounts:second_factor")
    by_code = Authenticator.objects.filter(pk__in=factors, type=Authenticator.Type.TOTP).exists()
    page = "mfa_reauthenticate" if by_code else "mfa_reauthenticate_webauthn"
    requested = request.session.get(REQUESTED_PAGE, "/")
    return f"{reverse(page)}?{urlencode({'next': requested})}"


@transaction.atomic
def reset_second_factor(*, by: User, user: User) -> int:
    """Remove all second factors of an account whose owner has lost them.

    Staff must set up a new one at the next sign-in before they can do anything else.

    Returns:
        The number of factors removed.

    Raises:
        PermissionDenied: `by` is not a superuser, or is the owner.
    """
    if not by.is_superuser or by.pk == user.pk:
        raise PermissionDenied
    removed = Authenticator.objects.filter(user=user).count()
    Authenticator.objects.filter(user=user).delete()
    record_access(
        user, what="second-factor-reset", by=by, detail={"taken away": removed, "by": by.email}
    )
    return removed


@transaction.atomic
def reencrypt_factors() -> int:
    """Encrypt all secrets of second factors under the current `SECRET_KEY`.

    Afterwards, no earlier key is needed to decrypt them.

    Returns:
        The number of factors with a secret.

    Raises:
        cryptography.fernet.InvalidToken: a secret is encrypted under none of the site's keys.
    """
    adapter = get_adapter()

    def again(value: Any) -> Any:
        if isinstance(value, list):
            return [again(each) for each in value]
        return adapter.encrypt(adapter.decrypt(value))

    factors = Authenticator.objects.select_for_update()
    found = [factor for factor in factors if ENCRYPTED & set(factor.data)]
    for factor in found:
        factor.data |= {name: again(factor.data[name]) for name in ENCRYPTED & set(factor.data)}
        factor.save(update_fields=["data"])
    return len(found)


def start_session_with_factor(
    request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any
) -> None:
    """Mark the session as having passed a factor that was set up in it."""
    if authenticator.type in FACTORS:
        record_authentication(
            request, user, method="mfa", id=authenticator.pk, type=authenticator.type
        )
