"""Middleware: no private page in a cache, and the name behind every audit row."""

from collections.abc import Callable

from auditlog.middleware import AuditlogMiddleware
from django.http import HttpRequest, HttpResponseBase

from accounts.addresses import client_address

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class PrivatePagesMiddleware:
    """Keeps what a signed-in person sees out of every cache, the browser's own included.

    A shared computer in a ward must not show the last doctor's patient after a press of Back.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.user.is_authenticated:
            response.headers["Cache-Control"] = "private, no-store"
        return response


class AuditMiddleware(AuditlogMiddleware):
    """Names the user and the address in each audit row."""

    @staticmethod
    def _get_remote_addr(request: HttpRequest) -> str | None:
        return client_address(request)

    @staticmethod
    def _get_remote_port(request: HttpRequest) -> int | None:
        port = request.META.get("REMOTE_PORT", "")
        return int(port) if str(port).isdigit() else None
