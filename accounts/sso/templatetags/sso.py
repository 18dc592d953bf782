"""What pages show of the hospital's sign-in provider."""

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from django import template

from accounts.models import User
from accounts.sso import config, linking

register = template.Library()


@register.simple_tag(takes_context=True)
def sign_in_provider(context: dict[str, Any]) -> dict[str, Any] | None:
    """Return name and address of the provider, or None if the site has none."""
    provider = config.current()
    if provider is None:
        return None
    request = context["request"]
    app = next(iter(get_adapter().list_apps(request)))
    return {
        "name": config.name_of(provider),
        "url": app.get_provider(request).get_login_url(request),
        "is_pending": linking.is_pending(request),
    }


@register.filter
def has_password_sign_in(user: User) -> bool:
    """Return whether the account may sign in without the provider."""
    return not config.must_use_provider(user)
