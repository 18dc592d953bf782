"""The adapters through which allauth asks this site for decisions."""

import base64
import hashlib
import logging
from collections.abc import Iterable
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts import avatars, known_devices, mails, services, two_factor
from accounts.audit.recording import event
from accounts.audit_events import record_refused_sign_in
from accounts.models import User
from accounts.sso import config as sso_config
from accounts.sso import linking, sign_out
from xraysite.common.client_address import client_address

logger = logging.getLogger(__name__)

# For connections without an address: a Unix socket of a proxy that is not trusted.
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - bound to nothing


def set_language_cookie(response: HttpResponseBase, user: User) -> None:
    """Set the language cookie to the language chosen in the profile, if any."""
    if user.language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            user.language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            samesite="Lax",
            secure=settings.LANGUAGE_COOKIE_SECURE,
        )


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up is open to everyone; access is decided by approval and middleware."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("The email address or password is incorrect."),
        "too_many_login_attempts": _(
            "Too many failed attempts. Wait five minutes, or reset your password with "
            "“Forgot your password?”."
        ),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN)

    def save_user(
        self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True
    ) -> User:
        """Store the applicant's details and the language of the form."""
        for name in ("display_name", "hospital", "department", "licence_number"):
            setattr(user, name, form.cleaned_data.get(name, ""))
        language = translation.get_language()
        user.language = language if language in dict(settings.LANGUAGES) else ""
        saved: User = super().save_user(request, user, form, commit)
        if commit and form.cleaned_data.get("picture"):
            avatars.change_avatar(user=saved, data=form.cleaned_data["picture"])
        return saved

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Refuse to confirm an address that another account uses, even unverified."""
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
        """Refuse a suspended account even with the right password."""
        response: HttpResponseBase | None = super().pre_login(request, user, **kwargs)
        if response is None and user.approval == User.Approval.SUSPENDED:
            response = self.respond_user_inactive(request, user)
        if response is None:
            sociallogin = (kwargs.get("signal_kwargs") or {}).get("sociallogin")
            if sociallogin is not None:
                two_factor.note_provider(request, user, sociallogin.claims)
            elif sso_config.must_use_provider(user):
                response = self._refuse_password(request, user)
            else:
                linking.note_consent(request)
        return response

    def _refuse_password(self, request: HttpRequest, user: User) -> HttpResponseBase:
        record_refused_sign_in({"email": user.email}, what="sign-in-failed")
        name = sso_config.name_of(sso_config.required())
        text = _("This account has no password sign-in. Use “Sign in with %(hospital)s”.")
        messages.error(request, text % {"hospital": name})
        return redirect("account_login")

    def login(self, request: HttpRequest, user: User) -> None:
        """Check again: an account may be suspended between password and second factor."""
        if user.approval == User.Approval.SUSPENDED:
            raise ImmediateHttpResponse(self.respond_user_inactive(request, user))
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponseBase:
        response = super().post_login(request, user, **kwargs)
        linking.finish(request, user, site=request.build_absolute_uri("/").rstrip("/"))
        set_language_cookie(response, user)
        known_devices.remember(request, response, user)
        return response

    def get_login_stages(self) -> list[str]:
        """Ask for a second factor unless the provider states one."""
        ours = {"allauth.mfa.stages.AuthenticateStage": "accounts.allauth.stages.FactorStage"}
        return [ours.get(stage, stage) for stage in super().get_login_stages()]

    def get_logout_redirect_url(self, request: HttpRequest) -> str:
        return sign_out.provider_page(request) or str(super().get_logout_redirect_url(request))

    def set_password(self, user: User, password: str) -> None:
        """Store a new password, recorded as a change by its owner or a reset by an emailed link."""
        is_own = getattr(self.request, "user", None) == user
        with event("password-changed" if is_own else "password-reset"):
            super().set_password(user, password)

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return reverse("accounts:status")

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        if not getattr(request.user, "is_approved", False):
            return reverse("accounts:status")
        return str(super().get_login_redirect_url(request))

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or NO_ADDRESS

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send an email in the recipient's language; show an error if it cannot be sent."""
        user = context.get("user")
        language = mails.language_of(user) if user else mails.language_at(email)
        try:
            with translation.override(language):
                super().send_mail(template_prefix, email, context)
        except mails.FAILURES:
            logger.exception("The email %r could not be sent.", template_prefix)
            messages.error(
                self.request,
                _(
                    "The email could not be sent. Try again in a few minutes, or contact a "
                    "supervisor."
                ),
            )

    # Failed sign-ins are limited per account and IP address, so that an attacker elsewhere cannot
    # lock a user out, and (with a much higher limit) per account alone. A browser that signed in to
    # the account before has a limit of its own, which nobody else can use up.

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        return f"{self._login_of(credentials)}@{self.get_client_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        device = known_devices.find(request, self._login_of(credentials))
        try:
            if device is not None:
                self._login_failed_rl_usage = self._count_on_device(request, device)
                if not self._login_failed_rl_usage:
                    raise self.validation_error("too_many_login_attempts")
                return
            if not self._count_anywhere(request, credentials, dry_run=True):
                raise self.validation_error("too_many_login_attempts")
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            record_refused_sign_in(credentials, what="sign-in-locked")
            raise

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        if known_devices.find(request, self._login_of(credentials)) is None:
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

    def _count_on_device(
        self, request: HttpRequest, device: str
    ) -> ratelimit.RateLimitUsage | None:
        return ratelimit.consume(
            request, app="allauth.account", action="login_failed_on_known_device", key=device
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


class SessionsAdapter(DefaultUserSessionsAdapter):
    """Ends sessions through the service that records it."""

    def end_sessions(self, sessions: Iterable[UserSession]) -> None:
        for session in sessions:
            services.end_session(session)


class MFAAdapter(DefaultMFAAdapter):
    """Encrypts the secrets of authenticator apps and recovery codes at rest."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()


def _cipher() -> MultiFernet:
    """Return the cipher of the site's secret key; it also decrypts with earlier keys."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_key_of(str(key))) for key in keys])


def _key_of(secret: str) -> bytes:
    # Part of the key of every stored secret: it must never change, wherever the module moves.
    digest = hashlib.sha256(b"accounts.mfa_adapter" + secret.encode()).digest()
    return base64.urlsafe_b64encode(digest)
