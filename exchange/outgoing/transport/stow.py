"""Sending by STOW-RS (PS3.18 10.5), one object a request, and asking by OPTIONS."""

import http.client
import json
import uuid
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext_noop

from exchange.outgoing.models import Target
from exchange.outgoing.objects.building import Made
from exchange.outgoing.transport.answers import (
    ANSWERED,
    NO_ROOM,
    UNREACHABLE,
    Answer,
    BusyError,
    RefusedError,
)
from exchange.outgoing.transport.credentials import tls_context, token

MAX_ANSWER = 2**20
NOT_ALLOWED = gettext_noop("The system does not accept the token (%(answer)s).")
REDIRECTS = gettext_noop("The system redirects, which is not followed (%(answer)s).")
NOTHING_THERE = gettext_noop("There is no STOW-RS service at this address (%(answer)s).")
FAILED, STORED, FAILURE_REASON, WARNING_REASON = "00081198", "00081199", "00081197", "00081196"
# PS3.18 table I.2-2.
DUPLICATE, NO_RESOURCES = 0x0111, range(0xA700, 0xA800)
# Answers of servers, and of proxies before them, whose cause may pass.
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 507}


class Stow:
    """A connection for STOW-RS. A redirect is never followed: it might lead elsewhere."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        self._connection = _connected(self._target)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._connection is not None:
            self._connection.close()

    def send(self, made: Made) -> Answer:
        """Send one object; see `Transport.send`."""
        assert self._connection is not None  # noqa: S101
        boundary = uuid.uuid4().hex
        body = (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n"
            f"Content-Length: {len(made.data)}\r\n\r\n"
        ).encode() + made.data + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        status, content = _asked(
            self._connection, self._target, "POST", body=body,
            headers={"Content-Type": kind, "Accept": "application/dicom+json"},
        )  # fmt: skip
        return _answer(status, content, made.uid)


def _answer(status: int, content: bytes, uid: str) -> Answer:
    stored, failures = _outcome(content)
    words = f"HTTP {status}"
    reason = failures.get(uid, failures.get(""))
    if reason is not None:
        words += f", failure 0x{reason:04X}"
        if reason == DUPLICATE:
            return Answer(True, words)
        if reason in NO_RESOURCES:
            raise BusyError(NO_ROOM, answer=words)
        return Answer(False, words)
    if status in (200, 201, 202):
        # Some answer with nothing but the status.
        is_named = uid in stored or not stored
        return Answer(is_named, "" if status == 200 else words)
    if status in PASSING:
        raise BusyError(ANSWERED, answer=words)
    if status in (401, 403):
        raise RefusedError(NOT_ALLOWED, answer=words)
    if 300 <= status < 400:
        raise RefusedError(REDIRECTS, answer=words)
    return Answer(False, words)


def _outcome(content: bytes) -> tuple[set[str], dict[str, int]]:
    """Return the UIDs that were stored, and the reasons of failures by UID."""
    try:
        answer = json.loads(content)
        answer = answer[0] if isinstance(answer, list) else answer
        stored = {_value(item, "00081155") for item in _items(answer, STORED)}
        failed = {
            str(_value(item, "00081155") or ""): int(_value(item, FAILURE_REASON) or 0)
            for item in _items(answer, FAILED)
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return set(), {}
    return {str(uid) for uid in stored if uid}, failed


def _items(answer: Any, tag: str) -> list[Any]:
    return list(answer.get(tag, {}).get("Value", [])) if isinstance(answer, dict) else []


def _value(item: Any, tag: str) -> Any:
    values = item.get(tag, {}).get("Value") or [None]
    return values[0]


def ask(target: Target) -> str:
    """Send OPTIONS; see `try_out`. Servers that do not know it are there all the same."""
    connection = _connected(target)
    try:
        status, _content = _asked(connection, target, "OPTIONS")
    finally:
        connection.close()
    if status in (401, 403):
        raise RefusedError(NOT_ALLOWED, answer=f"HTTP {status}")
    if status == 404 or 300 <= status < 400:
        raise RefusedError(NOTHING_THERE, answer=f"HTTP {status}")
    if status >= 500 and status != 501:
        raise BusyError(ANSWERED, answer=f"HTTP {status}")
    return f"HTTP {status}"


def _connected(target: Target) -> http.client.HTTPConnection:
    parts = urlsplit(target.url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            host, port, timeout=settings.OUTGOING_TIMEOUT, context=tls_context()
        )
    return http.client.HTTPConnection(host, port, timeout=settings.OUTGOING_TIMEOUT)


def _asked(
    connection: http.client.HTTPConnection,
    target: Target,
    method: str,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    sent = dict(headers or {})
    if target.token_name:
        sent["Authorization"] = f"Bearer {token(target.token_name)}"
    try:
        connection.request(method, urlsplit(target.url).path or "/", body=body, headers=sent)
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise BusyError(UNREACHABLE, where=urlsplit(target.url).netloc) from error
