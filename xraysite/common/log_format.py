"""Formats of the log: plain text, or a JSON object per line.

Neither contains what somebody typed: addresses are replaced by their URL patterns, and messages of
exceptions are left out unless their type makes them safe. "invalid literal for int(): '陳小明'" and
"Failing row contains (…)" would name a patient.
"""

import datetime
import json
import logging
import traceback
from collections.abc import Iterator
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest

from xraysite.common.request_log import pattern_of, request_id

# Exceptions about the machine or the code rather than about what was entered.
SAFE = (OSError, OperationalError, RuntimeError, ImportError, AttributeError, NameError, TypeError)


class PlainFormatter(logging.Formatter):
    """Lines of text, with the request's id at the end of those of a request."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(_without_address(record))
        return f"{text} [{request_id.get()}]" if request_id.get() else text

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "".join(_parts(ei[1])).rstrip()


class JSONFormatter(PlainFormatter):
    """A JSON object per line: time, level, logger, message, and what the record adds.

    Only `facts`, a dictionary given as `extra={"facts": …}`, is added; other attributes of a
    record, such as Django's `request`, may contain anything.
    """

    def format(self, record: logging.LogRecord) -> str:
        record = _without_address(record)
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _without_address(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy of a record of Django about a request, with the pattern for the address."""
    request = getattr(record, "request", None)
    if not isinstance(request, HttpRequest) or not isinstance(record.args, tuple):
        return record
    copy = logging.makeLogRecord(record.__dict__)
    written = {request.path, request.get_full_path()}
    copy.args = tuple(
        pattern_of(request) if isinstance(arg, str) and arg in written else arg
        for arg in record.args
    )
    # Formatted by another handler, with the message of the exception.
    copy.exc_text = None
    return copy


def _parts(error: BaseException) -> Iterator[str]:
    """Yield the lines of an exception and of those that led to it."""
    if error.__cause__ is not None:
        yield from _parts(error.__cause__)
        yield "\nThe above exception was the direct cause of the following exception:\n\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _parts(error.__context__)
        yield "\nDuring handling of the above exception, another exception occurred:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    yield f"{name}: {error}\n" if isinstance(error, SAFE) else f"{name}\n"
