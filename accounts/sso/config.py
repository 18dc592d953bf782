"""The configured sign-in provider."""

import hashlib

from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from accounts.models import User
from xraysite.common.sign_in_provider import SignInProvider


class NoProviderError(Exception):
    """Raised when no provider is configured."""


def current() -> SignInProvider | None:
    provider: SignInProvider | None = settings.SSO
    return provider


def required() -> SignInProvider:
    """Return the configured provider.

    Raises:
        NoProviderError: none is configured.
    """
    provider = current()
    if provider is None:
        raise NoProviderError("Set SSO to sign in with a provider.")
    return provider


def name_of(provider: SignInProvider) -> str:
    """Return the hospital's name in the active language."""
    is_chinese = (get_language() or "").startswith("zh")
    return provider.name_zh if is_chinese and provider.name_zh else provider.name


def key_of(provider: SignInProvider) -> str:
    """Return the key under which identities are stored.

    It depends on the issuer: what another issuer calls by the same identifier is somebody else.
    """
    digest = hashlib.sha256(provider.issuer.encode()).hexdigest()[:16]
    return f"{provider.kind}-{digest}"


def is_connected(user: User) -> bool:
    from allauth.socialaccount.models import SocialAccount

    provider = current()
    return (
        provider is not None
        and SocialAccount.objects.filter(user=user, provider=key_of(provider)).exists()
    )


def must_use_provider(user: User) -> bool:
    """Return whether the account may sign in with the provider only.

    Superusers may always use their password, because somebody must get in when the provider fails.
    """
    provider = current()
    if provider is None or provider.has_passwords or user.is_superuser:
        return False
    return is_connected(user)


def provider_of(request: HttpRequest | None, user: User) -> str:
    """Return the name of the provider by which this session was begun; "" if by none."""
    provider = current()
    if provider is None or request is None or not hasattr(request, "session"):
        return ""
    records = get_authentication_records(request, user)
    is_first = bool(records) and records[0].get("method") == "socialaccount"
    return provider.name if is_first else ""
