"""Handing a stored email to the mail server.

An email is claimed in the database before it is sent and finished afterwards. If the worker dies
between the two, nobody knows whether the mail server has it. Then an email is sent again, with the
same Message-ID (at least once), or given up and reported (at most once), as its kind demands.
"""

import logging
import smtplib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import get_connection
from django.db.models import F
from django.utils import timezone

from xraysite.common.background.mail_content import UnreadableError, unpacked
from xraysite.common.background.models import Mail
from xraysite.common.background.tasks import TaskFailedError, TryAgainError

logger = logging.getLogger(__name__)

State = Mail.State
# Times to wait after each try, about a day in all.
DELAYS = [timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720)]
# After this time, another task may take over an email whose task has vanished.
ABANDONED = timedelta(minutes=10)
# What to tell people about an email that may have arrived.
MAY_HAVE_ARRIVED = "It may have arrived, so it is not sent again by itself."


class _NotSentError(Exception):
    """The mail server has not accepted the email, and may later."""


class _RefusedError(Exception):
    """The mail server will not accept the email."""


class _UncertainError(Exception):
    """The connection broke while the email was sent."""


def deliver(mail_id: uuid.UUID, *, task_id: str) -> str:
    """Send a stored email, unless it was sent or another task is sending it.

    Args:
        task_id: the task that sends it.

    Returns:
        What became of it, for the queue.

    Raises:
        TryAgainError: the mail server could not be reached or was busy.
        TaskFailedError: the email will not be sent without a person.
    """
    mail = Mail.objects.filter(pk=mail_id).first()
    if mail is None:
        return "The email no longer exists."
    if not _claim(mail, task_id):
        return "Nothing to do: it was sent, is being sent, or is not due yet."
    try:
        _send(mail)
    except _UncertainError as error:
        if mail.is_sent_at_most_once:
            raise _given_up(mail, State.UNCERTAIN, f"{error} {MAY_HAVE_ARRIVED}") from error
        raise _later(mail, str(error)) from error
    except _NotSentError as error:
        raise _later(mail, str(error)) from error
    except (_RefusedError, UnreadableError) as error:
        raise _given_up(mail, State.FAILED, str(error)) from error
    _finish(mail, State.SENT, content="", error="")
    return "Sent."


def _claim(mail: Mail, task_id: str) -> bool:
    """Reserve the email for this task, or return False.

    An email that is being sent belongs to the task that claimed it. If that is this very task, its
    worker died while it was sent.
    """
    now = timezone.now()
    if mail.state == State.SENDING:
        is_own = mail.claimed_by == task_id
        if not is_own and (mail.claimed_at is None or mail.claimed_at > now - ABANDONED):
            return False
        if mail.is_sent_at_most_once:
            why = f"The worker died while it sent the email. {MAY_HAVE_ARRIVED}"
            raise _given_up(mail, State.UNCERTAIN, why)
    elif mail.state == State.SENT or (mail.state == State.WAITING and mail.due_at > now):
        return False
    # A failed or uncertain email is here because a person started its task again.
    unchanged = Mail.objects.filter(pk=mail.pk, state=mail.state, attempts=mail.attempts)
    claimed = unchanged.update(
        state=State.SENDING, claimed_by=task_id, claimed_at=now, attempts=F("attempts") + 1
    )
    mail.refresh_from_db()
    return bool(claimed)


def _send(mail: Mail) -> None:
    message = unpacked(mail.content)
    connection = get_connection(settings.EMAIL_DELIVERY_BACKEND)
    with _explained_connection():
        connection.open()
    try:
        with _explained_sending():
            connection.send_messages([message])
    finally:
        try:
            connection.close()
        except (smtplib.SMTPException, OSError):
            logger.warning("The connection to the mail server was not closed properly.")


@contextmanager
def _explained_connection() -> Iterator[None]:
    try:
        yield
    except (smtplib.SMTPException, OSError) as error:
        raise _NotSentError(f"The mail server cannot be used: {_text_of(error)}") from error


@contextmanager
def _explained_sending() -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        answers = list(error.recipients.values())
        kind = _RefusedError if all(code >= 500 for code, _why in answers) else _NotSentError
        said = "; ".join(f"{code} {_decoded(why)}" for code, why in answers)
        raise kind(f"The mail server refused the recipient: {said}") from error
    except smtplib.SMTPDataError as error:
        kind = _RefusedError if error.smtp_code >= 500 else _NotSentError
        raise kind(f"The mail server refused the email: {_text_of(error)}") from error
    except smtplib.SMTPResponseException as error:
        raise _NotSentError(f"The mail server refused: {_text_of(error)}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise _UncertainError(f"The connection broke: {_text_of(error)}") from error


def _text_of(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_decoded(error.smtp_error)}"
    return f"{type(error).__name__}: {error}"


def _decoded(text: Any) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _later(mail: Mail, why: str) -> Exception:
    """Let the email wait for its next try; after the last one, give it up."""
    if mail.attempts > len(DELAYS):
        return _given_up(mail, State.FAILED, f"{why} It was tried {mail.attempts} times.")
    after = DELAYS[mail.attempts - 1]
    due_at = timezone.now() + after
    Mail.objects.filter(pk=mail.pk).update(state=State.WAITING, due_at=due_at, error=why[:1000])
    return TryAgainError(why, after=after)


def _given_up(mail: Mail, state: Mail.State, why: str) -> TaskFailedError:
    _finish(mail, state, error=why[:1000])
    return TaskFailedError(why)


def _finish(mail: Mail, state: Mail.State, **values: str) -> None:
    Mail.objects.filter(pk=mail.pk).update(state=state, finished_at=timezone.now(), **values)
