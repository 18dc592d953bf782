"""Making, using and revoking tokens."""

import datetime
import secrets
from collections.abc import Collection
from contextlib import suppress

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts.audit import recording
from accounts.models import User
from accounts.tokens.models import SCOPES, ApiToken
from xraysite.common.client_address import client_address

# Recognisable by people and by tools that look for leaked secrets.
PREFIX = "xrs_"
MAX_DAYS = 365
MAX_TOKENS = 20
OVERSEE = "accounts.decide_user"
# Wrong tokens that an address may send in `GUESS_S` seconds.
MAX_GUESSES, GUESS_S = 20, 300
# The time of the last use is written at most so often.
USE_WRITTEN_S = 60

_ATTRIBUTE = "api_token"


class TokenError(Exception):
    """Raised when a request has no token that permits it.

    Args:
        status: the HTTP status: 401 without a valid token, 403 without the scope, 429 after too
            many wrong tokens.
        sentence: the reason, in the active language.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def _digest(token: str, key: str | bytes) -> str:
    return salted_hmac("accounts.tokens", token, secret=key, algorithm="sha256").hexdigest()


@transaction.atomic
def make_token(
    *, owner: User, name: str, scopes: Collection[str], days: int
) -> tuple[ApiToken, str]:
    """Make a token.

    Args:
        owner: the account that the token acts for.
        name: the program or device that will use it.
        scopes: keys of `SCOPES`.
        days: days until it expires, at most `MAX_DAYS`.

    Returns:
        The row, and the token itself, which is stored nowhere.

    Raises:
        PermissionDenied: the account is not approved.
        ValueError: a scope is unknown, none is given, `days` is out of range, or the account has
            as many tokens as it may have.
    """
    if not owner.is_approved:
        raise PermissionDenied
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes or not 1 <= days <= MAX_DAYS:
        raise ValueError(
            f"A token needs scopes out of {', '.join(SCOPES)}, and 1 to {MAX_DAYS} days. "
            f"Received: {sorted(scopes)!r}, {days!r}."
        )
    list(User.objects.select_for_update(no_key=True).filter(pk=owner.pk).values_list("pk"))
    if ApiToken.objects.usable().filter(owner=owner).count() >= MAX_TOKENS:
        raise ValueError(
            _("You have %(count)d tokens. Revoke one that is no longer used.")
            % {"count": MAX_TOKENS}
        )
    token = f"{PREFIX}{secrets.token_urlsafe(32)}"
    row = ApiToken.objects.create(
        owner=owner,
        name=name,
        scopes=sorted(set(scopes)),
        digest=_digest(token, settings.SECRET_KEY),
        hint=token[-4:],
        expires_at=timezone.now() + datetime.timedelta(days=days),
    )
    changes = {
        "name": ["", row.name],
        "scopes": ["", ", ".join(row.scopes)],
        "expires_at": ["", row.expires_at.isoformat(timespec="minutes")],
    }
    recording.record_change(row, what="token-made", changes=changes)
    return row, token


@transaction.atomic
def revoke_token(*, by: User, token_id: int) -> ApiToken:
    """Revoke a token: one's own, or as a supervisor anybody's. Repeating it changes nothing.

    Raises:
        ApiToken.DoesNotExist: there is no such token that `by` may revoke.
    """
    tokens = ApiToken.objects.select_for_update(of=("self",))
    if not by.has_perm(OVERSEE):
        tokens = tokens.filter(owner=by)
    row = tokens.get(pk=token_id)
    if row.revoked_at is None:
        _revoke(row, by)
    return row


@transaction.atomic
def revoke_tokens_of(*, owner: User, by: User) -> int:
    """Revoke every token of an account that is suspended; reinstating it revives none.

    Returns:
        The number of tokens that could still be used.
    """
    rows = list(ApiToken.objects.usable().filter(owner=owner).order_by("pk"))
    for row in rows:
        _revoke(row, by)
    return len(rows)


def _revoke(row: ApiToken, by: User) -> None:
    row.revoked_at, row.revoked_by = timezone.now(), by
    row.save(update_fields=["revoked_at", "revoked_by"])
    changes = {"revoked_at": ["", row.revoked_at.isoformat(timespec="seconds")]}
    recording.record_change(row, what="token-revoked", changes=changes)


def authenticate(request: HttpRequest) -> ApiToken | None:
    """Return the token that a request carries, and note it on the request; None if it has none.

    Raises:
        TokenError: the token is unknown, expired or revoked, its account may not sign in, or the
            address has sent too many wrong ones.
    """
    kind, _space, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return None
    guesses = f"token-guesses:{client_address(request) or 'local'}"
    if cache.get(guesses, 0) >= MAX_GUESSES:
        raise TokenError(429, _("Too many wrong tokens. Try again in a few minutes."))
    row = _find(token.strip())
    if row is None or not row.is_usable or not _may_act(row.owner):
        if row is None:
            _count_guess(guesses)
        # A program that goes on with an expired token guesses nothing: others at its address go on.
        elif cache.add(f"token-refused:{row.pk}:{row.is_usable}", 1, USE_WRITTEN_S):
            recording.record_access(row, what="token-refused", by=row.owner)
        raise TokenError(401, _("The token is not valid: unknown, expired or revoked."))
    _note_use(row, client_address(request))
    setattr(request, _ATTRIBUTE, row)
    return row


def _count_guess(key: str) -> None:
    cache.add(key, 0, GUESS_S)
    with suppress(ValueError):  # it has just expired
        cache.incr(key)


def _find(token: str) -> ApiToken | None:
    """Return the token's row, also if the site's key was changed since it was made."""
    if not token.startswith(PREFIX):
        return None
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [_digest(token, key) for key in keys]
    return ApiToken.objects.select_related("owner").filter(digest__in=digests).first()


def _may_act(owner: User) -> bool:
    return owner.is_active and owner.is_approved


def _note_use(row: ApiToken, address: str | None) -> None:
    now = timezone.now()
    earlier = now - datetime.timedelta(seconds=USE_WRITTEN_S)
    if row.last_used_at is None or row.last_used_at < earlier or row.last_used_from != address:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now, last_used_from=address)


def token_of(request: HttpRequest) -> ApiToken | None:
    """Return the token that `authenticate` found for this request."""
    return getattr(request, _ATTRIBUTE, None)


def user_of(request: HttpRequest, *, scope: str) -> User:
    """Return the account that a request acts for.

    Args:
        request: a request to one of `settings.TOKEN_PATHS`.
        scope: a key of `SCOPES` that the token must have.

    Raises:
        TokenError: the request has no valid token, or the token lacks the scope.
    """
    if scope not in SCOPES:
        raise ValueError(f"Unknown scope. Received: {scope!r}. Scopes: {', '.join(SCOPES)}.")
    row, error = token_of(request), getattr(request, "token_error", None)
    if error is not None:
        raise error
    if row is None:
        raise TokenError(401, _("Send a token: “Authorization: Bearer xrs_…”."))
    if not row.has_scope(scope):
        raise TokenError(403, _("The token lacks the scope %(scope)s.") % {"scope": scope})
    return row.owner
