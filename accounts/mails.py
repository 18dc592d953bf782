"""Mails of the site's own: plain text, each in the language of who reads it."""

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

# What a mail server that is down, refuses or talks nonsense raises.
FAILURES = (smtplib.SMTPException, OSError)


def language_of(user: User) -> str:
    """Return the language that `user` reads."""
    return user.language or settings.LANGUAGE_CODE


def language_at(email: str) -> str:
    """Return the language of the account with this address; without one, the page's."""
    user = User.objects.filter(email__iexact=email).first()
    return language_of(user) if user is not None else translation.get_language()


def send(name: str, *, to: Iterable[User], folder: str = "accounts/mail", **context: Any) -> bool:
    """Send the mail `templates/<folder>/<name>_*.txt` to each of `to`, one by one.

    Returns whether each was sent. A failure is logged and raises nothing: what the mail tells has
    happened already.
    """
    mails = [_mail(f"{folder}/{name}", user, context) for user in to]
    refused = []
    try:
        # One connection: a server that does not answer is waited for once.
        with get_connection() as connection:
            for mail in mails:
                try:
                    connection.send_messages([mail])
                except smtplib.SMTPRecipientsRefused as error:
                    refused.append(error)
    except FAILURES:
        logger.exception("The mail %r was not sent.", name)
        return False
    if refused:
        logger.error("The mail %r was refused: %s", name, refused)
    return not refused


def _mail(name: str, user: User, context: dict[str, Any]) -> EmailMessage:
    context = {"user": user} | context
    with translation.override(language_of(user)):
        lines = render_to_string(f"{name}_subject.txt", context)
        body = render_to_string(f"{name}_message.txt", context)
    # A name may hold a line break; a subject may not.
    subject = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + " ".join(lines.split())
    return EmailMessage(subject, body.strip() + "\n", to=[user.email])
