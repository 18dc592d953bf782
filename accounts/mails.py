"""Plain-text emails, each in its recipient's language."""

import logging
import smtplib
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import translation

from accounts.models import User
from xraysite.common.background.mails import AtMostOnceMessage
from xraysite.common.background.tasks import has_workers

logger = logging.getLogger(__name__)

# Raised when the mail server is unreachable or refuses the email.
FAILURES = (smtplib.SMTPException, OSError)


def language_of(user: User) -> str:
    """Return the user's language, or the site's default."""
    return user.language or settings.LANGUAGE_CODE


def language_at(email: str) -> str:
    """Return the language of the account with this address, or the active one."""
    user = User.objects.filter(email__iexact=email).first()
    return language_of(user) if user is not None else translation.get_language()


def when_committed(send_mails: Callable[[], None]) -> None:
    """Call a function that sends emails about the changes of the current transaction.

    With workers, that is now: emails are stored, and are part of the transaction. Without, it is
    after the commit, so that no email reports a change that was rolled back.
    """
    if has_workers():
        send_mails()
    else:
        transaction.on_commit(send_mails)


def send(
    name: str,
    *,
    to: Iterable[User],
    folder: str = "accounts/mail",
    is_sent_at_most_once: bool = False,
    **context: Any,
) -> bool:
    """Send the email `templates/<folder>/<name>_*.txt` to each recipient separately.

    With workers, the emails are stored in the current transaction, and a task sends them. Failures
    to send are logged, not raised: the event that the email reports has already happened.

    Args:
        is_sent_at_most_once: rather lose an email than send it twice, if a worker dies.

    Returns:
        Whether every email was sent or stored.
    """
    kind = AtMostOnceMessage if is_sent_at_most_once else EmailMessage
    mails = [_mail(f"{folder}/{name}", user, context, kind) for user in to]
    refused = []
    try:
        # A single connection, so that an unresponsive server is waited for once.
        with get_connection() as connection:
            for mail in mails:
                try:
                    connection.send_messages([mail])
                except smtplib.SMTPRecipientsRefused as error:
                    refused.append(error)
    except FAILURES:
        logger.exception("The email %r could not be sent.", name)
        return False
    if refused:
        logger.error("The email %r was refused: %s", name, refused)
    return not refused


def _mail(name: str, user: User, context: dict[str, Any], kind: type[EmailMessage]) -> EmailMessage:
    context = {"user": user} | context
    with translation.override(language_of(user)):
        lines = render_to_string(f"{name}_subject.txt", context)
        body = render_to_string(f"{name}_message.txt", context)
    # Names may contain line breaks; a subject must not.
    subject = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + " ".join(lines.split())
    return kind(subject, body.strip() + "\n", to=[user.email])
