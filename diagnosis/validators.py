"""Validation of uploaded films: a decoded film, or a translated error."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext, gettext_lazy

from mlcore.decoding import decode_film
from mlcore.engine.films.errors import SENTENCES, FilmError
from mlcore.engine.films.film import Film
from mlcore.engine.films.notices import NOTICES
from xraysite.common import metrics
from xraysite.common.decoders.errors import DecoderUnavailableError
from xraysite.common.decoders.turns import DecodersBusyError
from xraysite.common.faults import Fault, fault_of
from xraysite.common.file_names import display_name

logger = logging.getLogger(__name__)

# Decoded films of inspections whose form has not been sent yet. In this process only, at most two
# of 20 MB; another process decodes the film again, and larger films are always decoded again.
INSPECTION_SECONDS = 600
MAX_KEPT_BYTES = 20 * 10**6
_INSPECTED = LocMemCache(
    "inspected-films",
    {"TIMEOUT": INSPECTION_SECONDS, "OPTIONS": {"MAX_ENTRIES": 2, "CULL_FREQUENCY": 2}},
)

BUSY = gettext_lazy(
    "Other files are being read right now. Wait a few seconds and send this one again."
)
UNAVAILABLE = gettext_lazy(
    "The server cannot read image files at the moment. Try again in a minute. "
    "If the problem persists, contact your system administrator."
)
# Codes of validation errors that say nothing about the file.
NOT_NOW = ("busy", "unavailable", "storage")


@dataclass(frozen=True)
class UploadedFilm:
    """A decoded film and the file that it was uploaded as.

    Attributes:
        data: the file, byte for byte.
        film: the film decoded from it.
        name: the file's name, for display only.
    """

    data: bytes
    film: Film
    name: str = ""


def refusal(error: FilmError) -> ValidationError:
    """Count `error` and return its validation error, translated when it is shown."""
    metrics.count(metrics.REFUSED_FILES, error.code)
    params = _translated(error.detail)
    return ValidationError(gettext_lazy(error.sentence), code=error.code, params=params)


def _translated(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: gettext_lazy(str(value)) if name == "kind" else value
        for name, value in detail.items()
    }


def refusal_text(code: str, detail: Mapping[str, Any]) -> str:
    """Return why a file was refused, in the active language; "" if it is no code of `FilmError`."""
    sentence = {str(each): text for each, text in SENTENCES.items()}.get(code, "")
    return gettext(sentence) % _translated(detail) if sentence else ""


def notices(film: Film) -> list[str]:
    """Return, in the reader's language, what of the film could not be trusted."""
    return [gettext(NOTICES[code]) for code in film.notices]


def too_large() -> ValidationError:
    """Return the validation error for an upload that was cut off at the size limit."""
    return refusal(FilmError("too_large", limit=settings.FILM_MAX_BYTES / 2**20))


def not_stored(fault: Fault) -> ValidationError:
    """Return the validation error for an upload that the server cannot store."""
    params = {"title": fault.title, "text": fault.text}
    return ValidationError(gettext_lazy("%(title)s. %(text)s"), code="storage", params=params)


def refusal_to_store(error: OSError) -> ValidationError:
    """Return the validation error for a film that could not be stored, and log it.

    Raises:
        OSError: `error` says nothing about the storage.
    """
    fault = fault_of(error)
    if fault is None:
        raise error
    logger.error("%s: an X-ray cannot be stored: %s", fault.code, error)
    return not_stored(fault)


def validate_film(upload: UploadedFile) -> UploadedFilm:
    """Decode an uploaded film, whose format is told from its content.

    Raises:
        ValidationError: the file is not a readable film; the code is that of `FilmError`.
    """
    if upload.size is not None and upload.size > settings.FILM_MAX_BYTES:
        raise too_large()
    return validate_film_bytes(upload.read(), upload.name or "")


def validate_film_bytes(data: bytes, name: str) -> UploadedFilm:
    """Decode a film from the content of a file.

    Args:
        data: the whole file.
        name: the file's name as it was uploaded.

    Raises:
        ValidationError: the file is not a readable film; the code is that of `FilmError`. Or it
            cannot be decoded now, whatever it contains: busy or unavailable.
    """
    film = _take_inspected(hashlib.sha256(data).hexdigest())
    if film is None:
        try:
            film = decode_film(
                data, max_bytes=settings.FILM_MAX_BYTES, max_pixels=settings.FILM_MAX_PIXELS
            )
        except FilmError as error:
            raise refusal(error) from error
        except DecodersBusyError as error:
            metrics.count(metrics.REFUSED_FILES, "busy")
            raise ValidationError(BUSY, code="busy") from error
        except DecoderUnavailableError as error:
            metrics.count(metrics.REFUSED_FILES, "unavailable")
            raise ValidationError(UNAVAILABLE, code="unavailable") from error
    return UploadedFilm(data=data, film=film, name=display_name(name))


def keep_inspected(film: Film) -> None:
    """Keep a decoded film in memory for the form that will upload the same file, unless huge."""
    if film.pixels.nbytes <= MAX_KEPT_BYTES:
        _INSPECTED.set(film.sha256, film)


def _take_inspected(sha256: str) -> Film | None:
    film = _INSPECTED.get(sha256)
    _INSPECTED.delete(sha256)
    return film
