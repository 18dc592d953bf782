"""What every address of DICOMweb has in common: tokens, limits, errors, other origins."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from accounts import account_limits
from accounts.models import User
from accounts.tokens.services import TokenError, user_of
from diagnosis.serving import FILM_MISSING
from exchange.dicomweb.accept import NotAcceptableError
from exchange.dicomweb.objects import FilmMissingError, UnreadableError
from exchange.dicomweb.queries import BadQueryError
from xraysite.common.decoders.errors import DecoderUnavailableError
from xraysite.common.decoders.turns import RETRY_SECONDS, DecodersBusyError

READ, WRITE = "dicomweb:read", "dicomweb:write"
CHALLENGE = 'Bearer realm="DICOMweb"'
ALLOWED_HEADERS = "Authorization, Accept, Content-Type, Content-Location"
PREFLIGHT_SECONDS = 600


@method_decorator([csrf_exempt, login_not_required], name="dispatch")
class DicomwebView(View):
    """Answers programs with a token. A session's cookie opens nothing here."""

    http_method_names = ["get", "head", "post", "options"]
    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "OPTIONS":
            response: HttpResponseBase = self.preflight(request)
        else:
            response = self._answer(request, *args, **kwargs)
        _allow_origin(request, response)
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def preflight(self, request: HttpRequest) -> HttpResponse:
        """Answer a browser that asks whether a page of another origin may send a request."""
        response = HttpResponse(status=204)
        methods = [name.upper() for name in self.http_method_names if hasattr(self, name)]
        response.headers["Allow"] = ", ".join(methods)
        if request.headers.get("Origin") in settings.DICOMWEB_ORIGINS:
            response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
            response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    def _answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            self.user = user_of(request, scope=WRITE if request.method == "POST" else READ)
        except TokenError as error:
            return _refused(error)
        return explained(self._limited)(request, *args, **kwargs)

    def _limited(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        account_limits.take(account_limits.DICOMWEB, self.user)
        return super().dispatch(request, *args, **kwargs)

    @property
    def root(self) -> str:
        """The absolute address of the service."""
        return self.request.build_absolute_uri("/dicomweb")


def problem(status: int, text: str) -> JsonResponse:
    """Return an error with its reason."""
    return JsonResponse({"error": text}, status=status, json_dumps_params={"ensure_ascii": False})


def explained(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Turn the errors of a view into responses that say what is wrong."""

    def answer(*args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(*args, **kwargs)
        except Http404 as error:
            return problem(404, str(error))
        except PermissionDenied:
            return problem(403, _("Your account may not read X-rays."))
        except BadQueryError as error:
            return problem(400, str(error))
        except NotAcceptableError as error:
            return problem(406, str(error))
        except account_limits.TooManyError as error:
            return _later(problem(429, str(error)), max(1, round(error.seconds)))
        except FilmMissingError:
            return problem(503, str(FILM_MISSING))
        except UnreadableError:
            return problem(500, _("The stored X-ray cannot be decoded."))
        except (DecodersBusyError, DecoderUnavailableError):
            return _later(problem(503, _("The server is busy. Try again later.")), RETRY_SECONDS)

    return answer


def warn(response: HttpResponseBase, warnings: list[str], root: str) -> None:
    """State what was not done as asked (PS3.18, 8.3.4.6)."""
    if warnings:
        texts = (f'299 {root}: "{text}"' for text in warnings)
        response.headers["Warning"] = ", ".join(texts)


def _refused(error: TokenError) -> JsonResponse:
    response = problem(error.status, str(error.sentence))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = CHALLENGE
    elif error.status == 403:
        response.headers["WWW-Authenticate"] = f'{CHALLENGE}, error="insufficient_scope"'
    return response


def _later(response: HttpResponse, seconds: int) -> HttpResponse:
    response.headers["Retry-After"] = str(seconds)
    return response


def _allow_origin(request: HttpRequest, response: HttpResponseBase) -> None:
    if not settings.DICOMWEB_ORIGINS:
        return
    patch_vary_headers(response, ["Origin"])
    origin = request.headers.get("Origin", "")
    if origin in settings.DICOMWEB_ORIGINS:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Warning, Retry-After, Content-Location"
