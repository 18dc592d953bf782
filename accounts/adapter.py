"""What allauth asks of this site."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from accounts.models import User


def set_language_cookie(response: HttpResponseBase, user: User) -> None:
    """Makes the browser ask for pages in the language that the account chose, if it chose one."""
    if user.language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            samesite="Lax",
            secure=settings.LANGUAGE_COOKIE_SECURE,
        )


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up is closed: accounts are made by the people who run the site."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponseBase | None:
        """Turns away an account that is not approved, though its password was right."""
        response: HttpResponseBase | None = super().pre_login(request, user, **kwargs)
        if response is None and not user.is_approved:
            response = redirect("account_inactive")
        return response

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponseBase:
        response = super().post_login(request, user, **kwargs)
        set_language_cookie(response, user)
        return response
