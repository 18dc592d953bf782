"""The check of the film storage, and what a doctor is told before an X-ray is sent."""

import os
import uuid
from contextlib import suppress

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils.translation import gettext as _

from mlcore.inference import ModelUnavailable, active_model
from xraysite.common import readiness
from xraysite.common.readiness import NotReadyError, Outcome

PROBE_BYTES = 2**16
# What an upload needs, in the order in which a doctor is told.
NEEDED = ("films", "films_space", "database_space", "database")


def check_films() -> None:
    """Store a file in the film storage, read it back and delete it.

    Raises:
        NotReadyError: "full", "read-only", "unreachable" or "altered".
    """
    storage, content = storages["films"], os.urandom(PROBE_BYTES)
    name = f"probe/{uuid.uuid4().hex}"
    try:
        storage.save(name, ContentFile(content))
        with storage.open(name, "rb") as stored:
            if stored.read() != content:
                raise NotReadyError("altered", "A file read back differs from what was written.")
    except OSError as error:
        raise NotReadyError(readiness.code_of(error), str(error)) from error
    finally:
        with suppress(OSError):  # the storage may be gone; a file left behind is harmless
            storage.delete(name)


def obstacle() -> tuple[str, str] | None:
    """Return why no X-ray can be read now, as a code and a sentence, or None."""
    for outcome in readiness.outcomes(NEEDED):
        if not outcome.is_ok:
            return f"{outcome.name}-{outcome.code}", _sentence(outcome)
    try:
        active_model()
    except ModelUnavailable as error:
        return error.code, unavailable_text(error.code)
    return None


def _sentence(outcome: Outcome) -> str:
    match outcome.name, outcome.code:
        case ("films" | "films_space", "full"):
            return _("The storage is full: no more X-rays can be stored.")
        case "films", _code:
            return _("The storage for X-rays cannot be written to.")
        case ("database" | "database_space", "full"):
            return _("The database's disk is full: no more readings can be stored.")
    return _("The database cannot be written to at the moment.")


def unavailable_text(code: str) -> str:
    """Return why no reading can be made now.

    Args:
        code: the code of a `ModelUnavailable` error.
    """
    texts = {
        "inactive": _("No model is active on this server."),
        "missing": _("The active model's files are missing from this server."),
        "damaged": _("The model's files are damaged. The model has been taken out of use."),
        "invalid_output": _("The model's output was invalid and has been discarded."),
        "timeout": _("The model did not respond in time."),
    }
    return texts.get(code, _("The model is unavailable."))
