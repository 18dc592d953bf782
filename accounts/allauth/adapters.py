"""The adapters through which allauth asks this site for decisions."""

import base64
import hashlib
import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib import messages
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts import avatars, mails
from accounts.models import User
from xraysite.common.client_address import client_address

logger = logging.getLogger(__name__)

# A connection without an address (a Unix socket of a proxy that is not trusted).
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - bound to nothing


def set_language_cookie(response: HttpResponseBase, user: User) -> None:
    """Make the browser ask for pages in the language that the account chose, if it chose one."""
    if user.language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            samesite="Lax",
            secure=settings.LANGUAGE_COOKIE_SECURE,
        )


class AccountAdapter(DefaultAccountAdapter):
    """Anybody may ask for an account; what it then reaches is decided elsewhere."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("The e-mail address or the password is wrong."),
        "too_many_login_attempts": _(
            "Too many failed tries. Wait five minutes, or set a new password by "
            "“Forgot your password?”."
        ),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN)

    def save_user(
        self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True
    ) -> User:
        """Store what the applicant filled in, and the language that it was filled in in."""
        for name in ("display_name", "hospital", "department", "licence_number"):
            setattr(user, name, form.cleaned_data.get(name, ""))
        language = translation.get_language()
        user.language = language if language in dict(settings.LANGUAGES) else ""
        saved: User = super().save_user(request, user, form, commit)
        if commit and form.cleaned_data.get("picture"):
            avatars.change_avatar(user=saved, data=form.cleaned_data["picture"])
        return saved

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Refuse an address that another account was made with, though it never proved it."""
        others = User.objects.filter(email__iexact=email_address.email)
        if others.exclude(pk=email_address.user_id).exists():
            self.add_message(
                request,
                messages.ERROR,
                "account/messages/email_confirmation_failed.txt",
                {"email": email_address.email},
            )
            return False
        confirmed: bool = super().confirm_email(request, email_address)
        return confirmed

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponseBase | None:
        """Turn away an account that is suspended, though its password was right."""
        response: HttpResponseBase | None = super().pre_login(request, user, **kwargs)
        if response is None and user.approval == User.Approval.SUSPENDED:
            response = self.respond_user_inactive(request, user)
        return response

    def login(self, request: HttpRequest, user: User) -> None:
        """Look again: an account may be suspended between its password and its second factor."""
        if user.approval == User.Approval.SUSPENDED:
            raise ImmediateHttpResponse(self.respond_user_inactive(request, user))
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponseBase:
        response = super().post_login(request, user, **kwargs)
        set_language_cookie(response, user)
        return response

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return reverse("accounts:status")

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        if not getattr(request.user, "is_approved", False):
            return reverse("accounts:status")
        return str(super().get_login_redirect_url(request))

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or NO_ADDRESS

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send the mail in the language of who reads it; says so where it cannot be sent."""
        user = context.get("user")
        language = mails.language_of(user) if user else mails.language_at(email)
        try:
            with translation.override(language):
                super().send_mail(template_prefix, email, context)
        except mails.FAILURES:
            logger.exception("The mail %r was not sent.", template_prefix)
            messages.error(
                self.request,
                _("The mail could not be sent. Try again in some minutes, or tell a supervisor."),
            )

    # Failed sign-ins are counted by account and address together, so that a stranger elsewhere
    # locks nobody out; and, far more of them, by account alone.

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        return f"{self._login_of(credentials)}@{self.get_client_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        if not self._count_anywhere(request, credentials, dry_run=True):
            raise self.validation_error("too_many_login_attempts")
        super().pre_authenticate(request, **credentials)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        self._count_anywhere(request, credentials)
        super().authentication_failed(request, **credentials)

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        super()._delete_login_attempts_cached_email(request, **credentials)
        ratelimit.clear(
            request,
            app="allauth.account",
            action="login_failed_anywhere",
            key=self._login_of(credentials),
        )

    def _count_anywhere(
        self, request: HttpRequest, credentials: dict[str, Any], *, dry_run: bool = False
    ) -> bool:
        return bool(
            ratelimit.consume(
                request,
                app="allauth.account",
                action="login_failed_anywhere",
                key=self._login_of(credentials),
                dry_run=dry_run,
            )
        )

    @staticmethod
    def _login_of(credentials: dict[str, Any]) -> str:
        return str(credentials.get("email") or credentials.get("username") or "").lower()


class MFAAdapter(DefaultMFAAdapter):
    """Keeps the secrets of authenticator apps and recovery codes unreadable in the database."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()


def _cipher() -> MultiFernet:
    """Return the cipher of the site's secret key; it reads what earlier keys wrote, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_key_of(str(key))) for key in keys])


def _key_of(secret: str) -> bytes:
    # Part of the key of every stored secret: it stays as it is, wherever the module moves.
    digest = hashlib.sha256(b"accounts.mfa_adapter" + secret.encode()).digest()
    return base64.urlsafe_b64encode(digest)
