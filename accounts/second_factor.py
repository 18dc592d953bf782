"""The second factor: who needs one, whether a session gave it, and what leaves a trace.

Staff (supervisors, ML staff, superusers) reach nothing but the pages that set a factor up until
their session has given one. Others may use one; allauth then asks for it at every sign-in.
"""

from collections.abc import Callable
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.models import User

GetResponse = Callable[[HttpRequest], HttpResponseBase]
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
WANTED_PAGE = "second_factor_wanted_page"

# Open to staff whose session has not given a second factor, with or without one set up.
ALWAYS_OPEN = frozenset(
    {
        "about",
        "accounts:second_factor",
        "accounts:session",
        "accounts:stay",
        "account_logout",
        "account_reauthenticate",
        "favicon",
        "healthz",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
        "set_language",
    }
)
# Open besides while there is none: what sets one up.
OPEN_FOR_SET_UP = frozenset({"mfa_activate_totp", "mfa_add_webauthn", "mfa_index"})


def is_required(user: AbstractBaseUser | AnonymousUser) -> bool:
    return isinstance(user, User) and (user.is_staff or user.is_superuser)


def factors_of(user: User) -> set[int]:
    """Returns the numbers of everything that counts as the account's second factor.

    Recovery codes count while there is a factor that they stand in for.
    """
    found = dict(Authenticator.objects.filter(user=user).values_list("pk", "type"))
    return set(found) if set(found.values()) & set(FACTORS) else set()


def is_given(request: HttpRequest, factors: set[int]) -> bool:
    """Returns whether this session gave one of `factors`, none of which was removed since."""
    if not isinstance(request.user, User):
        return False
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" and record.get("id") in factors for record in records)


class SecondFactorMiddleware:
    """Keeps staff out of everything until the session has given a second factor."""

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
        if not is_required(request.user):
            return None
        factors = factors_of(request.user)  # type: ignore[arg-type]
        if is_given(request, factors):
            return None
        match = request.resolver_match
        name = match.view_name if match is not None else ""
        if name in ALWAYS_OPEN or (not factors and name in OPEN_FOR_SET_UP):
            return None
        if request.method == "GET":
            request.session[WANTED_PAGE] = request.get_full_path()
        return HttpResponseRedirect(_way_in(request, factors))


def _way_in(request: HttpRequest, factors: set[int]) -> str:
    """Returns where a factor is given, or set up where there is none."""
    if not factors:
        return reverse("accounts:second_factor")
    by_code = Authenticator.objects.filter(pk__in=factors, type=Authenticator.Type.TOTP).exists()
    page = "mfa_reauthenticate" if by_code else "mfa_reauthenticate_webauthn"
    wanted = request.session.get(WANTED_PAGE, "/")
    return f"{reverse(page)}?{urlencode({'next': wanted})}"


@require_safe
def explain(request: HttpRequest) -> HttpResponseBase:
    """Says why staff need a second factor, and leads to what sets one up; then, on."""
    if not is_required(request.user):
        return redirect("mfa_index")
    if is_given(request, factors_of(request.user)):  # type: ignore[arg-type]
        return redirect(request.session.pop(WANTED_PAGE, "/"))
    return render(request, "accounts/second_factor.html")


@transaction.atomic
def reset_second_factor(*, by: User, user: User) -> int:
    """Removes every factor of an account whose owner lost them; returns how many there were.

    The owner sets a new one up at the next sign-in; staff cannot do anything before.

    Raises:
        PermissionDenied: unless `by` is a superuser, and somebody else.
    """
    if not by.is_superuser or by.pk == user.pk:
        raise PermissionDenied
    removed = Authenticator.objects.filter(user=user).count()
    Authenticator.objects.filter(user=user).delete()
    audit.record_access(
        user, what="second-factor-reset", by=by, detail={"taken away": removed, "by": by.email}
    )
    return removed


def listen() -> None:
    """Connects what allauth tells of second factors with the audit log."""
    for signal, receiver in (
        (signals.authenticator_added, _added),
        (signals.authenticator_removed, _removed),
        (signals.authenticator_reset, _codes_made),
        (signals.authenticator_used, _used),
        (signals.authentication_failed, _failed),
    ):
        signal.connect(receiver, dispatch_uid=f"accounts.second_factor.{receiver.__name__}")


def _added(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _record(user, authenticator, "second-factor-added")
    # Whoever sets a factor up has just proved to hold it.
    if authenticator.type in FACTORS:
        record_authentication(
            request, user, method="mfa", id=authenticator.pk, type=authenticator.type
        )


def _removed(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _record(user, authenticator, "second-factor-removed")


def _codes_made(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _record(user, authenticator, "recovery-codes-made")


def _used(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    is_code = authenticator.type == Authenticator.Type.RECOVERY_CODES
    _record(user, authenticator, "recovery-code-used" if is_code else "second-factor-given")


def _failed(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    audit.record_access(user, what="second-factor-failed", detail={"type": authenticator.type})


def _record(user: User, authenticator: Authenticator, what: str) -> None:
    audit.record_access(user, what=what, by=user, detail={"type": authenticator.type})
