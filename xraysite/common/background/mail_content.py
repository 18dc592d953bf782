"""An email as encrypted text, for the time until it is sent.

Emails contain links that set a password, which a reader of the database or of a backup must not be
able to use.
"""

import base64
import hashlib
import json
import uuid
from email.utils import formatdate

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives

FIELDS = ("subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "extra_headers")


class UnreadableError(Exception):
    """Raised if a stored email cannot be decrypted."""


def packed(message: EmailMessage, *, mail_id: uuid.UUID) -> str:
    """Return an email as encrypted JSON.

    Its Message-ID and its date are fixed now, so that an email that is sent twice is recognized as
    one.

    Raises:
        ValueError: the email has an attachment.
    """
    if message.attachments:
        raise ValueError("Emails with attachments cannot be queued. Send a link instead.")
    values = {name: getattr(message, name) for name in FIELDS}
    domain = message.from_email.rpartition("@")[2].strip("> ") or "localhost"
    headers = {"Message-ID": f"<{mail_id.hex}@{domain}>", "Date": formatdate()}
    values["extra_headers"] = headers | message.extra_headers
    values["alternatives"] = [
        [each.content, each.mimetype] for each in getattr(message, "alternatives", [])
    ]
    return _cipher().encrypt(json.dumps(values, default=str).encode()).decode()


def unpacked(content: str) -> EmailMultiAlternatives:
    """Return the email of `packed`.

    Raises:
        UnreadableError: it was encrypted with a key that is no longer configured.
    """
    try:
        values = json.loads(_cipher().decrypt(content.encode()))
    except InvalidToken as error:
        raise UnreadableError(
            "The email cannot be decrypted: SECRET_KEY was changed without keeping the old one in "
            "SECRET_KEY_FALLBACKS."
        ) from error
    headers = values.pop("extra_headers")
    return EmailMultiAlternatives(headers=headers, **values)


def _cipher() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_key_of(str(key))) for key in keys])


def _key_of(secret: str) -> bytes:
    digest = hashlib.sha256(b"xraysite.background.mail" + secret.encode()).digest()
    return base64.urlsafe_b64encode(digest)
