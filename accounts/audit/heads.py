"""Sending the head of the audit log to other machines, from which nobody here can remove it."""

import logging
import logging.handlers
from collections.abc import Sequence
from typing import NoReturn

from django.core.mail import EmailMessage


class NotSentError(Exception):
    """Raised when a head could not be sent; the message says where to and why."""


class _SysLog(logging.handlers.SysLogHandler):
    def handleError(self, record: logging.LogRecord) -> NoReturn:  # noqa: N802 - logging's name
        raise  # called while an error is handled


def send(head: str, *, mail_to: Sequence[str] = (), syslog_at: str | None = None) -> None:
    """Send a head by email, to a syslog server, or both.

    Args:
        head: `NUMBER:SEAL`.
        mail_to: email addresses.
        syslog_at: `HOST:PORT` (UDP), or the path of a socket.

    Raises:
        NotSentError: the mail server or the socket refused it. UDP reports no loss.
    """
    text = f"xraysite audit log head {head}"
    if syslog_at:
        host, _colon, port = syslog_at.rpartition(":")
        is_socket = syslog_at.startswith("/")
        if not is_socket and not (host and port.isdecimal()):
            raise NotSentError(f"A syslog server looks like HOST:PORT. Received: {syslog_at!r}.")
        try:
            handler = _SysLog(syslog_at if is_socket else (host, int(port)))
            handler.emit(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))
            handler.close()
        except OSError as error:
            raise NotSentError(f"syslog at {syslog_at}: {error.strerror or error}") from error
    if mail_to:
        body = (
            f"{text}\n\nKeep this email. If the log is ever in doubt, run on the site:\n\n"
            f"manage.py verify_audit --head {head}\n"
        )
        try:
            EmailMessage(text[:60], body, to=list(mail_to)).send()
        except OSError as error:  # as are those of smtplib
            raise NotSentError(f"email to {', '.join(mail_to)}: {error}") from error
