"""The error for files that are not readable films, and its sentences.

Each refusal is worded only here. Commands print the sentences in English; the interface
translates them (`diagnosis.validators`) by passing `FilmError.sentence` to gettext.
"""

from __future__ import annotations

from typing import Literal, get_args

from mlcore.engine.films.budget import announce_size

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
    "not_an_xray",
    "for_processing",
    "aspect_ratio",
    "thumbnail",
    "jpeg_12_bit",
    "blank",
    "unsupported",
    "no_pixels",
    "corrupt",
    "too_complex",
    "too_slow",
    "too_much_memory",
    "undecodable",
]
CODES: tuple[FilmErrorCode, ...] = get_args(FilmErrorCode)

# The shortest side of a film in pixels: smaller images show too little of a chest.
MIN_SIDE = 64
# The longer side of a film is at most this many times the shorter one; chest films reach 1.5.
MAX_ASPECT_RATIO = 4


def gettext_noop(text: str) -> str:
    """Return `text` unchanged; the name marks it for makemessages without importing Django."""
    return text


SENTENCES: dict[FilmErrorCode, str] = {
    "empty": gettext_noop("The file is empty. Export it again or choose another file."),
    "too_large": gettext_noop("The file is larger than %(limit)g MB. Export a smaller copy."),
    "too_many_pixels": gettext_noop(
        "The image has %(megapixels)g megapixels; the limit is %(limit)g. Export a smaller copy."
    ),
    "too_small": gettext_noop(
        "The image is only %(width)d × %(height)d pixels; each side needs at least %(limit)d. "
        "Export it at full size."
    ),
    "not_an_image": gettext_noop(
        "The file is not an image. Choose a JPEG, PNG, BMP, TIFF, WebP or DICOM file."
    ),
    "archive": gettext_noop(
        "The file is a %(kind)s, not an image. Extract the X-ray from it first."
    ),
    "truncated": gettext_noop(
        "The %(format)s file is incomplete: part of the image is missing. Export it again."
    ),
    "animated": gettext_noop(
        "The %(format)s file contains more than one image. Export a single image."
    ),
    "wrong_modality": gettext_noop(
        "The modality of the DICOM file is %(modality)s. Only chest X-rays (CR, DX) are supported."
    ),
    "not_an_xray": gettext_noop(
        "The DICOM file is a %(kind)s, not an X-ray image. Choose the X-ray image of the same exam."
    ),
    "for_processing": gettext_noop(
        "The DICOM file contains raw detector data (For Processing), which look different from a "
        "finished X-ray. Export the image For Presentation of the same exam."
    ),
    "aspect_ratio": gettext_noop(
        "The image is %(width)d × %(height)d pixels, too narrow for a chest X-ray. "
        "Export the whole image."
    ),
    "thumbnail": gettext_noop(
        "The %(format)s file starts with a reduced preview instead of the X-ray, as raw camera "
        "files do. Export the X-ray as JPEG, PNG or plain TIFF."
    ),
    "jpeg_12_bit": gettext_noop(
        "JPEG compression with 12 bits per pixel is not supported. Export the X-ray as JPEG with "
        "8 bits, as PNG, or as uncompressed DICOM."
    ),
    "blank": gettext_noop(
        "The image is blank: all pixels have nearly the same value. "
        "Check the exposure and export it again."
    ),
    "unsupported": gettext_noop(
        "Files of this kind cannot be decoded (%(format)s). "
        "Export the X-ray as JPEG, PNG or uncompressed DICOM."
    ),
    "no_pixels": gettext_noop(
        "The DICOM file contains no image. Choose the file that contains the X-ray."
    ),
    "corrupt": gettext_noop("The %(format)s file is damaged. Export the X-ray again."),
    "too_complex": gettext_noop(
        "The %(format)s file consists of far more parts than an X-ray needs. "
        "Export the X-ray again as a plain JPEG, PNG or uncompressed DICOM."
    ),
    "too_slow": gettext_noop(
        "Decoding the file takes too long. "
        "Export the X-ray again as a plain JPEG, PNG or uncompressed DICOM."
    ),
    "too_much_memory": gettext_noop(
        "Decoding the file takes too much memory. "
        "Export the X-ray again as a plain JPEG, PNG or uncompressed DICOM, or a smaller copy."
    ),
    "undecodable": gettext_noop(
        "The file stops the decoder: it is damaged or very unusual. "
        "Export the X-ray again as a plain JPEG, PNG or uncompressed DICOM."
    ),
}


class FilmError(ValueError):
    """Raised when a file is not a readable film.

    Attributes:
        code: one of CODES.
        sentence: what is wrong and what to do, in English, with named `%` placeholders; the msgid
            of its translations.
        detail: values of the placeholders: `limit` and `megabytes` (too_large), `megapixels` and
            `limit` (too_many_pixels), `width`, `height` and `limit` (too_small), `width` and
            `height` (aspect_ratio), `kind` (archive, not_an_xray), `modality` (wrong_modality),
            `format` (truncated, animated, thumbnail, unsupported, corrupt, too_complex).
    """

    def __init__(self, code: FilmErrorCode, **detail: int | float | str) -> None:
        super().__init__(SENTENCES[code] % detail)
        self.code: FilmErrorCode = code
        self.sentence = SENTENCES[code]
        self.detail: dict[str, int | float | str] = detail


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check the size that a file's header states, before anything is decoded.

    Args:
        width: in pixels.
        height: in pixels.
        max_pixels: most pixels that may be decoded.

    Raises:
        FilmError: too_many_pixels, too_small or aspect_ratio.
    """
    if width * height > max_pixels:
        # Rounded up, so that no message says that 64 is more than 64.
        megapixels = -(-width * height // 100_000) / 10
        limit = round(max_pixels / 1e6, 1)
        raise FilmError("too_many_pixels", megapixels=megapixels, limit=limit)
    if min(width, height) < MIN_SIDE:
        raise FilmError("too_small", width=width, height=height, limit=MIN_SIDE)
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise FilmError("aspect_ratio", width=width, height=height)
    announce_size(width * height)
