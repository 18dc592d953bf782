"""Removal of NUL characters from requests, because PostgreSQL cannot store them."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict

NUL = "\x00"
GetResponse = Callable[[HttpRequest], HttpResponseBase]


class NullCharactersMiddleware:
    """Strips NUL characters from query strings and forms; a path with one gets a 404.

    Forms are cleaned once Django has checked the CSRF token, which parses them; list the
    middleware after `CsrfViewMiddleware`. A view that is exempt from that check may still want to
    choose how its upload is read, so its form is left alone.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.GET = without_null_characters(request.GET)  # type: ignore[assignment]
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        if NUL in request.path_info:
            raise Http404
        if request.method == "POST" and not getattr(view, "csrf_exempt", False):
            request.POST = without_null_characters(request.POST)  # type: ignore[assignment]


def without_null_characters(data: QueryDict) -> QueryDict:
    """Return `data`, or a copy without NUL characters if it contains any."""
    if not any(NUL in text for key, values in data.lists() for text in (key, *values)):
        return data
    cleaned = QueryDict(mutable=True, encoding=data.encoding)
    for key, values in data.lists():
        cleaned.setlist(key.replace(NUL, ""), [value.replace(NUL, "") for value in values])
    cleaned._mutable = False
    return cleaned
