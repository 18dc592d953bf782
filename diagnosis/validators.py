"""A film, or a refusal that says what is wrong and what to do, in the doctor's language."""

from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import Film, read_film

REFUSALS = {
    "empty": _("The file is empty. Choose the film again."),
    "too_large": _("The file is larger than %(limit)s MB. Export a smaller copy of the film."),
    "too_many_pixels": _(
        "The picture has %(megapixels)s megapixels; at most %(limit)s are read. "
        "Export a smaller copy of the film."
    ),
    "too_small": _(
        "The picture is only %(width)s×%(height)s pixels; a film needs at least %(limit)s a side."
    ),
    "not_an_image": _(
        "This file is no picture. Choose a JPEG, PNG, BMP, TIFF, WebP or DICOM file."
    ),
    "archive": _(
        "This file is a %(kind)s, whatever its name says. Take the film out of it and upload that."
    ),
    "truncated": _("The file ends too early: a part of the film is missing. Export it again."),
    "animated": _("The file holds more than one picture; a film is one. Export a single frame."),
    "wrong_modality": _(
        "The file says that it is a %(modality)s image, not a radiograph. "
        "Only chest X-rays (CR, DX) are read."
    ),
    "blank": _("The picture is blank: every pixel is nearly the same. Check the exposure."),
    "unsupported": _(
        "This kind of file cannot be decoded here (%(format)s). "
        "Export the film as JPEG, PNG or uncompressed DICOM."
    ),
    "no_pixels": _("This DICOM file holds no picture. Choose the file that holds the film."),
    "corrupt": _("The file is damaged and cannot be read. Export the film again."),
}


@dataclass(frozen=True)
class UploadedFilm:
    """A film that can be read, with the bytes as they came."""

    data: bytes
    film: Film


def refusal(error: FilmError) -> ValidationError:
    """Returns the refusal that a form shows for `error`."""
    detail = {key: _plain(value) for key, value in error.detail.items()}
    return ValidationError(REFUSALS[error.code], code=error.code, params=detail)


def _plain(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def too_large() -> ValidationError:
    return ValidationError(
        REFUSALS["too_large"],
        code="too_large",
        params={"limit": f"{settings.FILM_MAX_BYTES / 2**20:g}"},
    )


def validate_film(upload: UploadedFile) -> UploadedFilm:
    """Returns the uploaded film, identified by its content.

    Raises:
        ValidationError: whose code is that of `FilmError`, if it is no film that can be read.
    """
    if upload.size is not None and upload.size > settings.FILM_MAX_BYTES:
        raise too_large()
    data = upload.read()
    try:
        film = read_film(
            data, max_bytes=settings.FILM_MAX_BYTES, max_pixels=settings.FILM_MAX_PIXELS
        )
    except FilmError as error:
        raise refusal(error) from error
    return UploadedFilm(data=data, film=film)
