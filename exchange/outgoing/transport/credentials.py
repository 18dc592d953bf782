"""Tokens and certificates: from the environment and from files, never from the database."""

import os
import ssl
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_noop

from exchange.outgoing.transport.answers import RefusedError

# Only variables of this prefix are read: a supervisor names the token, and must not be able to name
# another secret of the site.
PREFIX = "OUTGOING_TOKEN_"


def token(name: str) -> str:
    """Return the bearer token of a name.

    Raises:
        RefusedError: there is none.
    """
    found = os.environ.get(PREFIX + name, "")
    if not found and settings.OUTGOING_TOKENS:
        try:
            found = (Path(settings.OUTGOING_TOKENS) / name).read_text().strip()
        except OSError:
            found = ""
    if not found:
        raise RefusedError(
            gettext_noop("There is no token %(name)s. Set the variable %(variable)s, or store it."),
            name=name, variable=PREFIX + name,
        )  # fmt: skip
    if not found.isascii() or not found.isprintable():
        raise RefusedError(
            gettext_noop("The token %(name)s contains characters that cannot be sent."), name=name
        )
    return found


def tls_context() -> ssl.SSLContext:
    """Return the settings of an encrypted connection, with the site's certificate if it has one.

    Raises:
        RefusedError: a certificate or key cannot be read.
    """
    try:
        context = ssl.create_default_context()
        if settings.OUTGOING_TLS_CA:
            context.load_verify_locations(settings.OUTGOING_TLS_CA)
        if settings.OUTGOING_TLS_CERTIFICATE:
            context.load_cert_chain(
                settings.OUTGOING_TLS_CERTIFICATE, settings.OUTGOING_TLS_KEY or None
            )
    except (OSError, ssl.SSLError) as error:
        raise RefusedError(
            gettext_noop("The certificates cannot be used: %(error)s"), error=str(error)
        ) from error
    return context
