"""Plain-text emails, each in its recipient's language."""

import logging
import smtplib
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.template.loader import render_to_string
from django.utils import translation

from accounts.models import User

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


def send(name: str, *, to: Iterable[User], folder: str = "accounts/mail", **context: Any) -> bool:
    """Send the email `templates/<folder>/<name>_*.txt` to each recipient separately.

    Failures are logged, not raised: the event that the email reports has already happened.

    Returns:
        Whether every email was sent.
    """
    mails = [_mail(f"{folder}/{name}", user, context) for user in to]
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


def _mail(name: str, user: User, context: dict[str, Any]) -> EmailMessage:
    context = {"user": user} | context
    with translation.override(language_of(user)):
        lines = render_to_string(f"{name}_subject.txt", context)
        body = render_to_string(f"{name}_message.txt", context)
    # Names may contain line breaks; a subject must not.
    subject = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + " ".join(lines.split())
    return EmailMessage(subject, body.strip() + "\n", to=[user.email])
