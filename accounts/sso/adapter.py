"""The adapter through which allauth asks about people of the hospital's provider."""

from typing import Any, NoReturn

import requests
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.utils.http import urlencode

from accounts import mails, services
from accounts.models import User
from accounts.sso import config, linking, problems
from accounts.sso.claims import Claims, display_name
from accounts.sso.services import apply_claims, owner_of, request_connection
from xraysite.common.sign_in_provider import OIDC, SignInProvider

# Part of the addresses that the hospital's IT department enters at the provider.
SLUG = "hospital"


class SocialAdapter(DefaultSocialAccountAdapter):
    """Signs people in by the provider in the settings; none is ever read from the database."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        configured = config.current()
        if configured is None:
            return []
        app = _app_of(configured)
        if provider and provider not in {app.provider, app.provider_id, config.key_of(configured)}:
            return []
        return [app] if client_id in (None, app.client_id) else []

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        _stop(request, _code_of(error, exception, extra_context or {}))

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: Any) -> User:
        user: Any = sociallogin.user
        user.email = data.get("email") or ""
        return user

    def is_email_verified(self, provider: Any, email: str) -> bool:
        return False  # `Claims.email_verified` knows

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Apply the claims about a known person, or decide what happens to an unknown one."""
        claims: Claims = sociallogin.claims
        user: Any = sociallogin.user
        if sociallogin.is_existing:
            if user.is_active and user.approval != User.Approval.SUSPENDED:
                sociallogin.user = apply_claims(user=user, claims=claims)
            return
        if not claims.email:
            _stop(request, "no-email")
        owner = owner_of(claims.email)
        if owner is not None:
            request_connection(user=owner, uid=sociallogin.account.uid, claims=claims)
        if not claims.email_verified:
            _stop(request, "unverified")
        if owner is not None:
            _ask_for_password(request, owner, sociallogin.account.uid, claims)

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Admit people in a named group; others may apply if anybody may."""
        claims: Claims = sociallogin.claims
        if not settings.SIGNUP_OPEN and not config.required().roles_of(claims.groups):
            _stop(request, "no-group")
        return True

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """Create the account of a person who signs in for the first time."""
        claims: Claims = sociallogin.claims
        user: Any = sociallogin.user
        user.set_unusable_password()
        user.display_name = display_name(claims)
        user.hospital = config.name_of(config.required())[:120]
        language = translation.get_language()
        user.language = language if language in dict(settings.LANGUAGES) else ""
        try:
            with transaction.atomic():
                sociallogin.save(request)
                user = sociallogin.user = apply_claims(user=user, claims=claims)
                if user.approval == User.Approval.PENDING:
                    site = request.build_absolute_uri("/").rstrip("/")
                    mails.when_committed(lambda: tell(user, site))
        except IntegrityError:  # another request created the account at the same time
            _stop(request, "used")
        return user


def tell(user: User, site: str) -> None:
    services.tell_deciders(user=user, site=site)


def _app_of(provider: SignInProvider) -> SocialApp:
    """Return what allauth needs to know, which is never saved: it contains secrets."""
    if provider.kind == OIDC:
        return SocialApp(
            provider="openid_connect",
            provider_id=SLUG,
            name=provider.name,
            client_id=provider.client_id,
            secret=provider.client_secret,
            settings={
                "server_url": provider.issuer.rstrip("/"),
                "oauth_pkce_enabled": True,
                "scope": list(provider.scopes),
            },
        )
    idp = {"entity_id": provider.issuer, "sso_url": provider.sign_in_url}
    idp |= {"x509cert": provider.certificate}
    if provider.metadata_url:
        idp |= {"metadata_url": provider.metadata_url}
    advanced: dict[str, Any] = {
        "strict": True,
        "allow_single_label_domains": True,  # an intranet's host names
        "reject_idp_initiated_sso": True,
        "reject_deprecated_algorithm": True,
        "want_assertion_signed": provider.wants_signed in {"assertion", "both"},
        "want_message_signed": provider.wants_signed in {"message", "both"},
    }
    if provider.own_key:
        advanced |= {"private_key": provider.own_key, "x509cert": provider.own_certificate}
        advanced |= {"authn_request_signed": True, "metadata_signed": False}
    return SocialApp(
        provider="saml",
        provider_id=SLUG,
        name=provider.name,
        client_id=SLUG,
        settings={"idp": idp, "advanced": advanced},
    )


def _code_of(error: Any, exception: Exception | None, context: dict[str, Any]) -> str:
    """Return the problem's code for what allauth says about an error."""
    if error == "cancelled":
        return "cancelled"
    if code := getattr(exception, "code", None):
        return str(code)
    if isinstance(exception, requests.ConnectionError | requests.Timeout):
        return "unreachable"
    if isinstance(exception, requests.HTTPError) and exception.response is not None:
        return "invalid" if exception.response.status_code < 500 else "unreachable"
    if "saml_last_error_reason" in context:
        return problems.of_saml(str(context["saml_last_error_reason"]))
    if exception is not None:
        return "invalid"
    if "state_id" in context:
        return "used"
    return "refused" if "state" in context else "unsolicited"


def _ask_for_password(request: HttpRequest, owner: User, uid: str, claims: Claims) -> NoReturn:
    """Send the browser to the sign-in page, to prove that the existing account is the person's."""
    if not owner.is_active or owner.approval == User.Approval.SUSPENDED:
        response: Any = get_account_adapter().respond_user_inactive(request, owner)
        raise ImmediateHttpResponse(response)
    if not owner.has_usable_password() or config.is_connected(owner):
        _stop(request, "not-connected")
    if request.user.is_authenticated:
        get_account_adapter().logout(request)
    linking.remember(request, user=owner, uid=uid, claims=claims)
    query = urlencode({"next": reverse(settings.LOGIN_REDIRECT_URL)})
    raise ImmediateHttpResponse(HttpResponseRedirect(f"{reverse('account_login')}?{query}"))


def _stop(request: HttpRequest, code: str) -> NoReturn:
    raise ImmediateHttpResponse(problems.page(request, code))
