"""The addresses between this site and the provider; without a provider, they do not exist.

allauth's views do the work. They are imported when they are called, because the libraries of SAML
take memory that a site without it does not need.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import requests
from allauth.core import ratelimit
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST, require_safe

from accounts.sso import config, problems
from accounts.sso.adapter import SLUG
from accounts.sso.provider import HospitalOIDCAdapter, ProblemError
from xraysite.common.sign_in_provider import OIDC, SAML

MAX_RESPONSE_BYTES = 256 * 1024
View = Callable[..., HttpResponseBase]


def _of(kind: str) -> Callable[[View], View]:
    """Return a decorator for views of one kind of provider, which explain what goes wrong."""

    def decorate(view: View) -> View:
        @login_not_required
        @never_cache
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            provider = config.current()
            if provider is None or provider.kind != kind:
                raise Http404
            limited = ratelimit.consume_or_429(request, action="sso")
            if limited is not None:
                return limited
            try:
                return view(request, *args, **kwargs)
            except ImmediateHttpResponse as error:
                return error.response
            except ProblemError as error:
                return problems.page(request, error.code)
            except PermissionDenied:
                return problems.page(request, "used")
            except (requests.RequestException, OSError):
                return problems.page(request, "unreachable")
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                # What the provider sent is not what the standards say. Its text may name a person.
                kind_of_error = type(error).__name__
                problems.logger.error("The provider's answer is unreadable: %s.", kind_of_error)
                return problems.page(request, "invalid")
            except Exception as error:
                if not type(error).__module__.startswith("onelogin."):
                    raise
                # Settings of SAML that cannot be right, or metadata of the provider.
                problems.logger.error("SAML is not set up correctly: %s", error)
                return problems.page(request, "invalid")

        return wrapper

    return decorate


@_of(OIDC)
@require_POST
def oidc_login(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the provider."""
    response: HttpResponse = OAuth2LoginView.adapter_view(HospitalOIDCAdapter(request, SLUG))(
        request
    )
    return response


@_of(OIDC)
@require_GET
def oidc_callback(request: HttpRequest) -> HttpResponseBase:
    """Sign in whom the provider sends back."""
    response: HttpResponse = OAuth2CallbackView.adapter_view(HospitalOIDCAdapter(request, SLUG))(
        request
    )
    return response


@_of(SAML)
@require_POST
def saml_login(request: HttpRequest, organization_slug: str) -> HttpResponseBase:
    """Redirect to the provider."""
    from allauth.socialaccount.providers.saml import views

    response: HttpResponse = views.login(request, organization_slug=organization_slug)
    return response


@csrf_exempt
@_of(SAML)
@require_POST
def saml_acs(request: HttpRequest, organization_slug: str) -> HttpResponseBase:
    """Take the provider's response, which arrives without this site's cookies."""
    from allauth.socialaccount.providers.saml import views

    if len(request.POST.get("SAMLResponse", "")) > MAX_RESPONSE_BYTES:
        return problems.page(request, "invalid")
    response: HttpResponse = views.acs(request, organization_slug=organization_slug)
    return response


@_of(SAML)
@require_GET
def saml_finish(request: HttpRequest, organization_slug: str) -> HttpResponseBase:
    """Sign in whom the response is about, with this site's cookies."""
    from allauth.socialaccount.providers.saml import views

    response: HttpResponse = views.finish_acs(request, organization_slug=organization_slug)
    return response


@_of(SAML)
@require_safe
def saml_metadata(request: HttpRequest, organization_slug: str) -> HttpResponseBase:
    """Describe this site to the provider."""
    from allauth.socialaccount.providers.saml.utils import build_saml_config, get_app_or_404
    from onelogin.saml2.settings import (  # type: ignore[import-untyped]
        OneLogin_Saml2_Settings,
    )

    app = get_app_or_404(request, organization_slug)
    described = build_saml_config(request, app.settings, organization_slug)
    del described["sp"]["singleLogoutService"]
    found = OneLogin_Saml2_Settings(settings=described, sp_validation_only=True)
    return HttpResponse(found.get_sp_metadata(), content_type="application/samlmetadata+xml")


@login_not_required
def unused(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
    """Say that an address of allauth's that this site does not use does not exist."""
    raise Http404
