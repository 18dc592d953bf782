"""What happens around every endpoint: language, problems for errors, no caching."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.csrf import csrf_exempt

from exchange.api.problems import CONTENT_TYPE, Problem, problem_of, response_of, unexpected

View = Callable[..., HttpResponseBase]


def language_of(request: HttpRequest) -> str:
    """Return the language that a program asks for; English if it asks for none.

    Cookies are not looked at.
    """
    accepted = parse_accept_lang_header(request.headers.get("Accept-Language", "").lower())
    for code, _quality in accepted:
        try:
            return translation.get_supported_language_variant(code)
        except LookupError:
            continue
    return "en"


def entry(view: View) -> View:
    """Wrap an endpoint, which checks its token itself."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with translation.override(language_of(request)):
            try:
                response = _explained(request, view(request, *args, **kwargs))
            except Exception as error:  # noqa: BLE001 - the last place that can state it
                response = response_of(problem_of(error) or unexpected(request, error))
            response.headers["Content-Language"] = translation.get_language() or "en"
        patch_vary_headers(response, ["Accept-Language", "Authorization"])
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return login_not_required(csrf_exempt(wrapped))


def _explained(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Replace an error in plain text with a problem."""
    kind = response.headers.get("Content-Type", "")
    if response.status_code != 405 or kind.startswith(CONTENT_TYPE):
        return response
    allowed = response.headers.get("Allow", "")
    text = _("This address has no method %(method)s. Allowed: %(allowed)s.") % {
        "method": request.method, "allowed": allowed,
    }  # fmt: skip
    return response_of(Problem(405, "no-such-method", text, headers={"Allow": allowed}))


def nothing_here(request: HttpRequest) -> HttpResponse:
    """Answer an unknown address."""
    raise Http404(_("The API has no such address. See %(url)s.") % {"url": "/api/v1/openapi.json"})
