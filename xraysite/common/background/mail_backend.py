"""An email backend that stores emails and lets a task send them."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from xraysite.common.background import mails


class QueuedEmailBackend(BaseEmailBackend):
    """Stores emails in the current transaction: a change that is rolled back sends none."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Store the emails and return their number."""
        for message in email_messages:
            mails.store(message)
        return len(email_messages)
