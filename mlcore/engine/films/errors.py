"""The one way a file is refused: a code for the interface, numbers for its message."""

from __future__ import annotations

from typing import Literal, get_args

FilmErrorCode = Literal[
    "empty",
    "too_large",
    "too_many_pixels",
    "too_small",
    "not_an_image",
    "archive",
    "truncated",
    "animated",
    "wrong_modality",
    "blank",
    "unsupported",
    "no_pixels",
    "corrupt",
]
CODES: tuple[FilmErrorCode, ...] = get_args(FilmErrorCode)

# The shortest side a film may have, in pixels: below it there is no chest to be read.
MIN_SIDE = 64

_SENTENCES: dict[FilmErrorCode, str] = {
    "empty": "The file is empty.",
    "too_large": "The file has {megabytes} MB; at most {limit} MB can be read.",
    "too_many_pixels": "The film has {megapixels} megapixels; at most {limit} can be read.",
    "too_small": "The film has {width} by {height} pixels; each side needs at least {limit}.",
    "not_an_image": "The file is no JPEG, PNG, BMP, TIFF, WebP or DICOM film.",
    "archive": "The file is a {kind}, whatever its name says; send the film itself.",
    "truncated": "The {format} file ends too early; it was cut off on its way.",
    "animated": "The {format} file holds more than one picture; send one film at a time.",
    "wrong_modality": "The DICOM file is of modality {modality}, not a plain radiograph.",
    "blank": "The picture is one even grey; there is nothing on it.",
    "unsupported": "Files of this kind cannot be read: {format}.",
    "no_pixels": "The DICOM file holds no picture.",
    "corrupt": "The {format} file is damaged.",
}


class FilmError(ValueError):
    """A file that is no readable film.

    Attributes:
        code: one of CODES; the interface has a translated message for each.
        detail: the numbers and names of that message, by the placeholders of the English one:
            `megabytes, limit` (too_large), `megapixels, limit` (too_many_pixels),
            `width, height, limit` (too_small), `kind` (archive), `modality` (wrong_modality),
            `format` (truncated, animated, unsupported, corrupt); empty for the rest.
    """

    def __init__(self, code: FilmErrorCode, **detail: int | float | str) -> None:
        super().__init__(_SENTENCES[code].format(**detail))
        self.code: FilmErrorCode = code
        self.detail: dict[str, int | float | str] = detail


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a film by the size its header states, before anything is decoded.

    Raises:
        FilmError: too_many_pixels or too_small.
    """
    if width * height > max_pixels:
        # Rounded up, so that no message says that 64 is more than 64.
        megapixels = -(-width * height // 100_000) / 10
        limit = round(max_pixels / 1e6, 1)
        raise FilmError("too_many_pixels", megapixels=megapixels, limit=limit)
    if min(width, height) < MIN_SIDE:
        raise FilmError("too_small", width=width, height=height, limit=MIN_SIDE)
