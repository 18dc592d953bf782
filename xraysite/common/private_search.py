"""Searches whose text stays out of URLs.

A name that is typed into a search must not reach the browser's history, a bookmark, the Referer
header or a server's access log. The search form is sent by POST; its text is kept in the session,
and the page is redirected to a URL with an opaque key (`?search=KEY`) beside the other filters. The
Back button, reloading, paging and bookmarks work as long as the session does.
"""

import secrets
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

FIELD = "q"
PARAMETER = "search"
SENT = "send_search"  # marks a POST as a search, on pages that receive other forms too
SESSION_KEY = "searches"
MAX_KEPT = 50  # the oldest are forgotten
MAX_LENGTH = 1000
_NEVER_IN_URLS = {FIELD, SENT, "csrfmiddlewaretoken"}

View = Callable[..., HttpResponseBase]


def keep(session: SessionBase, text: str) -> str:
    """Keep a text in the session and return its key; the same text has the same key."""
    kept: dict[str, str] = dict(session.get(SESSION_KEY, {}))
    text = text[:MAX_LENGTH]
    key = next((key for key, known in kept.items() if known == text), secrets.token_urlsafe(9))
    kept.pop(key, None)
    kept[key] = text
    session[SESSION_KEY] = dict(list(kept.items())[-MAX_KEPT:])
    return key


def text_of(session: SessionBase, key: str) -> str | None:
    """Return the text kept under a key; None if this session does not know the key."""
    text: str | None = session.get(SESSION_KEY, {}).get(key)
    return text


def query_string(request: HttpRequest, *, without: Iterable[str] = ()) -> str:
    """Return the request's query string for links to other pages of the same search.

    Args:
        request: a request of a view decorated with `private_search`.
        without: further parameters to leave out.
    """
    query = request.GET.copy()
    for name in (FIELD, *without):
        query.pop(name, None)
    return query.urlencode()


def private_search(view: View, *, page: str = "") -> View:
    """Decorate a view that searches by `request.GET["q"]`.

    - A POST with the field `SENT` is a search: its text is kept, and the response redirects.
    - A GET with `?q=` (an old bookmark) redirects in the same way.
    - A request with `?search=KEY` reaches the view with the kept text as `request.GET["q"]`.

    Args:
        view: the view.
        page: name of the URL to which a search that is no longer known leads; by default the
            view's own. Without the text, an export would contain everything.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and SENT in request.POST:
            return _redirect(request, request.POST)
        if FIELD in request.GET and request.method in ("GET", "HEAD"):
            return _redirect(request, request.GET)
        key = request.GET.get(PARAMETER)
        if key is not None:
            text = text_of(request.session, key)
            if text is None:
                return _forgotten(request, page)
            query = request.GET.copy()
            query[FIELD] = text
            request.GET = query  # type: ignore[assignment]
        return view(request, *args, **kwargs)

    return wrapped


def _redirect(request: HttpRequest, sent: QueryDict) -> HttpResponseBase:
    query = QueryDict(mutable=True)
    for name, values in sent.lists():
        if name not in _NEVER_IN_URLS and any(values):
            query.setlist(name, values)
    query.pop(PARAMETER, None)
    text = sent.get(FIELD, "").strip()
    if text:
        query[PARAMETER] = keep(request.session, text)
    location = f"{request.path}?{query.urlencode()}" if query else request.path
    return HttpResponseRedirect(location, status=303)


def _forgotten(request: HttpRequest, page: str) -> HttpResponseBase:
    messages.warning(request, _("This search is no longer available. Enter it again."))
    return HttpResponseRedirect(reverse(page) if page else request.path)
