"""Whose file is decoded next: at most one of an account at a time, one more waits.

Batches are read in the background: one of their files at a time, and none while a request's file
waits.

A turn lasts until the request ends, so that the pixels of at most `settings.DECODERS` films are in
a web process's memory at once. Uploads have threads of their own (`xraysite.server.lanes`) and wait
for these without a limit on their number. Other requests that need a decoder hold a thread for
pages while they wait, so only as many may wait as leave half of these threads free.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from xraysite.common.client_address import client_address
from xraysite.common.decoders.errors import DecoderUnavailableError
from xraysite.common.environ import WAITED

# Files of one account that are decoded or waiting.
MAX_PER_ACCOUNT = 2
MAX_WAIT_SECONDS = 10.0
# Seconds that an upload may have waited for a thread; a browser or proxy would soon give up.
MAX_QUEUE_SECONDS = 40.0
RETRY_SECONDS = 5
# The account of files that are read in the background.
BACKGROUND = "background"


class DecodersBusyError(Exception):
    """Raised when other files are being decoded, and this one should be sent again later."""


class Turns:
    """Turns of the accounts in one process.

    Args:
        at_once: accounts that have a turn at a time.
        seats: requests with a thread for pages that have a turn or wait for one.
        wait: seconds after which a waiting request gives up.
    """

    def __init__(self, *, at_once: int, seats: int, wait: float = MAX_WAIT_SECONDS) -> None:
        self._at_once, self._seats, self._wait = at_once, seats, wait
        self._waiting: list[tuple[str, object]] = []
        self._running: Counter[str] = Counter()
        self._seated = 0
        self._changed = threading.Condition()

    def take(self, account: str, *, seated: bool = True) -> None:
        """Wait for the account's turn.

        Args:
            account: whose file it is.
            seated: whether the request takes a seat: it has a thread for pages.

        Raises:
            DecodersBusyError: too many files of this account wait already, or all seats are
                taken, or it took too long.
        """
        with self._changed:
            own = self._running[account] + sum(name == account for name, _ in self._waiting)
            if own >= MAX_PER_ACCOUNT or (seated and self._seated >= self._seats):
                raise DecodersBusyError
            ticket = (account, object())
            self._waiting.append(ticket)
            self._seated += seated
            try:
                until = time.monotonic() + self._wait
                while not self._is_next(ticket):
                    if not self._changed.wait(until - time.monotonic()):
                        raise DecodersBusyError
                self._running[account] += 1
            except BaseException:
                self._seated -= seated
                raise
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def take_spare(self, wait: float = MAX_QUEUE_SECONDS) -> None:
        """Wait until no request waits, and take a turn for a file that nobody is waiting for.

        Raises:
            DecodersBusyError: there was no spare turn for `wait` seconds.
        """
        until = time.monotonic() + wait
        with self._changed:
            while self._waiting or self._running[BACKGROUND] or self._count() >= self._at_once:
                if not self._changed.wait(until - time.monotonic()):
                    raise DecodersBusyError
            self._running[BACKGROUND] += 1

    def give_back(self, account: str, *, seated: bool = True) -> None:
        """End the account's turn, and leave the seat."""
        with self._changed:
            self._running[account] -= 1
            self._running += Counter()  # drops zeros
            self._seated -= seated
            self._changed.notify_all()

    def _count(self) -> int:
        return sum(self._running.values())

    def _is_next(self, ticket: tuple[str, object]) -> bool:
        """Return whether it is first among those whose account has no turn."""
        if self._count() >= self._at_once:
            return False
        ready = (each for each in self._waiting if not self._running[each[0]])
        return next(ready, None) is ticket


class _Request:
    def __init__(self, account: Callable[[], str], waited: float | None) -> None:
        self._account, self._waited, self.held = account, waited, ""

    def take(self) -> None:
        if self.held:
            return
        if self._waited is not None and self._waited > MAX_QUEUE_SECONDS:
            raise DecodersBusyError
        account = self._account()
        _turns().take(account, seated=self._waited is None)
        self.held = account

    def give_back(self) -> None:
        if self.held:
            _turns().give_back(self.held, seated=self._waited is None)
            self.held = ""
            release_memory()


class _Background:
    def __init__(self) -> None:
        self._has_turn = False

    def take(self) -> None:
        if not self._has_turn:
            _turns().take_spare()
            self._has_turn = True

    def give_back(self) -> None:
        if self._has_turn:
            _turns().give_back(BACKGROUND, seated=False)
            self._has_turn = False
            release_memory()


_current: ContextVar[_Request | _Background | None] = ContextVar("request", default=None)
_made: list[Turns] = []
_making = threading.Lock()


def _turns() -> Turns:
    with _making:
        if not _made:
            seats = max(1, settings.WEB_THREADS // 2)
            _made.append(Turns(at_once=settings.DECODERS, seats=seats))
        return _made[0]


def take() -> None:
    """Wait for the turn of the current request's account; at once where there is no request.

    Raises:
        DecodersBusyError: other files come first.
    """
    request = _current.get()
    if request is not None:
        request.take()


@contextmanager
def in_background() -> Iterator[None]:
    """Let a file that is decoded inside the block wait for those of requests."""
    current = _Background()
    token = _current.set(current)
    try:
        yield
    finally:
        _current.reset(token)
        current.give_back()


def release_memory() -> None:
    """Give freed memory back to the system; glibc would keep some for each thread."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class DecoderTurnsMiddleware:
    """Gives each request its turn when it decodes a file, and takes it back at the end.

    List it after `AuthenticationMiddleware`. A view that does not handle a lack of decoders itself
    answers with a page and status 503.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        current = _Request(lambda: _account(request), request.META.get(WAITED))
        token = _current.set(current)
        try:
            return self.get_response(request)
        finally:
            _current.reset(token)
            current.give_back()

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DecodersBusyError | DecoderUnavailableError):
            return None
        context = {"busy": isinstance(error, DecodersBusyError)}
        response = render(request, "503.html", context, status=503)
        response["Retry-After"] = str(RETRY_SECONDS)
        return response


def _account(request: HttpRequest) -> str:
    """Return whose request it is; people who are not signed in share that of their address."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return f"user {user.pk}"
    return f"address {client_address(request)}"
