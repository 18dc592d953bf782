"""Errors as RFC 9457 problem details: why a request was not answered, and what to do next."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from ninja.errors import HttpError, ValidationError

from accounts.tokens.services import TokenError
from xraysite.common.faults import fault_of

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
# What `type` begins with; docs/api.md explains each.
BASE = "tag:xraysite,2026:"
RETRY_S = 30


class Problem(Exception):  # noqa: N818 - it is what the response states
    """Raised when a request cannot be answered.

    Args:
        status: the HTTP status.
        kind: a word for programs, the end of `type`.
        detail: a sentence for people, in the active language.
        headers: further headers of the response.
        more: further members of the problem.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers, self.more = dict(headers or {}), more


def response_of(problem: Problem) -> HttpResponse:
    """Return the response that states a problem."""
    body = {
        "type": f"{BASE}{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }
    response = JsonResponse(
        body, status=problem.status, content_type=CONTENT_TYPE, json_dumps_params={"default": str}
    )
    for name, value in problem.headers.items():
        response.headers[name] = value
    return response


def problem_of(error: Exception) -> Problem | None:
    """Return the problem that an exception means; None if it is an error of this program."""
    match error:
        case Problem():
            return error
        case TokenError():
            return _of_token(error)
        case ValidationError():
            return invalid([_entry(each) for each in error.errors])
        case Http404():
            return Problem(404, "not-found", str(error) or _("There is no such thing here."))
        case PermissionDenied():
            return Problem(403, "forbidden", _("Your account may not do this."))
        case RequestDataTooBig():
            return Problem(413, "too-large", _("The request is too large."))
        case SuspiciousOperation():
            return Problem(400, "bad-request", _("The request cannot be understood."))
        case HttpError():
            return Problem(error.status_code, "bad-request", _("The request cannot be understood."))
    return _of_server(error)


def _of_token(error: TokenError) -> Problem:
    headers = {401: {"WWW-Authenticate": 'Bearer realm="xraysite"'}, 429: {"Retry-After": "300"}}
    kinds = {401: "no-valid-token", 403: "scope-missing", 429: "too-many-requests"}
    return Problem(
        error.status, kinds[error.status], error.sentence, headers=headers.get(error.status)
    )


def _of_server(error: Exception) -> Problem | None:
    fault = fault_of(error)
    if fault is None:
        return None
    logger.error("%s: the API cannot answer: %s", fault.code, error)
    retry = {"Retry-After": str(fault.retry_after)}
    return Problem(503, fault.code, f"{fault.title}. {fault.text}", headers=retry)


def invalid(errors: list[dict[str, str]]) -> Problem:
    """Return the problem of a request with fields that are wrong, each named."""
    detail = " ".join(dict.fromkeys(each["detail"] for each in errors))
    return Problem(
        422, "invalid", detail or _("The request has values that are not valid."), errors=errors
    )


def _entry(error: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with one value, without repeating the value."""
    place = [str(part) for part in error.get("loc", ()) if part not in ("body", "query", "data")]
    name = ".".join(place) or "body"
    sentences = {
        "missing": _("“%(field)s” is missing."),
        "extra_forbidden": _("“%(field)s” is no known field."),
    }
    sentence = sentences.get(str(error.get("type")), _("“%(field)s” is not valid."))
    # The library's own words, in English, for whoever writes the program.
    return {"field": name, "detail": sentence % {"field": name}, "reason": error.get("msg", "")}


def of_form(form: Any) -> Problem:
    """Return the problem of a form of the pages that is not valid."""
    return invalid(
        [
            {"field": "" if name == "__all__" else name, "detail": str(each)}
            for name, found in form.errors.items()
            for each in found
        ]
    )


def unexpected(request: HttpRequest, error: Exception) -> Problem:
    """Log an error of this program and return the problem that says so."""
    logger.error("Error in the API", exc_info=error, extra={"request": request})
    return Problem(500, "unexpected", _("An unexpected error occurred. It has been logged."))
