"""One line and one count for each request, and the request's id in every line of the log.

Lines name the page by its URL pattern, never by its URL: that may contain a patient's name that
somebody typed, or the key of a link to reset a password.
"""

import logging
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve

from xraysite.common import metrics
from xraysite.common.client_address import client_address

logger = logging.getLogger("xraysite.access")

HEADER = "X-Request-ID"
UNKNOWN = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestLogMiddleware:
    """Gives each request an id, and logs and counts it. The outermost middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        token = request_id.set(uuid.uuid4().hex)
        try:
            response = self.get_response(request)
            response.headers[HEADER] = request_id.get()
            self._note(request, response, time.perf_counter() - started)
            return response
        finally:
            request_id.reset(token)

    def _note(self, request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
        match = _match(request)
        page = match.view_name or match.route if match is not None else UNKNOWN
        method = request.method if request.method in METHODS else UNKNOWN
        metrics.count(metrics.REQUESTS, page, method, str(response.status_code))
        metrics.observe(metrics.LATENCY, seconds, page)
        # The lazy object is only looked at if the view or a middleware has loaded the account.
        user = getattr(request, "_cached_user", None)
        facts = {
            "method": method,
            "page": page,
            "pattern": pattern_of(request),
            "status": response.status_code,
            "milliseconds": round(1000 * seconds, 1),
            "account": getattr(user, "pk", None),
            "address": client_address(request),
        }
        logger.info(
            "%s %s %s in %s ms", method, page, response.status_code, facts["milliseconds"],
            extra={"facts": facts},
        )  # fmt: skip


def pattern_of(request: HttpRequest) -> str:
    """Return the URL pattern of a request, which contains nothing of its URL."""
    match = _match(request)
    return match.route if match is not None else UNKNOWN


def _match(request: HttpRequest) -> ResolverMatch | None:
    """Return the URL pattern, also if a middleware answered before it was looked up."""
    if request.resolver_match is not None:
        return request.resolver_match
    try:
        return resolve(request.path_info)
    except Resolver404:
        return None
