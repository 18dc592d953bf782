"""Validation and re-encoding of uploaded images; only pixels are kept."""

import io

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from PIL import Image

from xraysite.common.decoders import pool
from xraysite.common.decoders.turns import DecodersBusyError


class PictureError(ValueError):
    """Raised when an image file cannot be used.

    Attributes:
        message: the reason, translated, for the user.
    """

    def __init__(self, message: str | Promise) -> None:
        super().__init__(message)
        self.message = message


def too_large(max_bytes: int) -> PictureError:
    """Return the error for a file of more than `max_bytes`."""
    return PictureError(
        format_lazy(
            _("The image is larger than {megabytes} MB. Upload a smaller one."),
            megabytes=max_bytes // 2**20,
        )
    )


def decode(
    data: bytes,
    *,
    max_bytes: int,
    max_pixels: int,
    min_side: int = 1,
    max_side: int | None = None,
    square: int | None = None,
) -> Image.Image:
    """Decode a JPEG, PNG or WebP file with one frame to upright RGB, in a decoder process.

    Args:
        data: the whole file.
        max_bytes: largest accepted file size.
        max_pixels: largest accepted number of pixels.
        min_side: least length of each side in pixels.
        max_side: larger images are reduced to this length of the longer side.
        square: side of the central square that is returned instead of the whole image.

    Raises:
        PictureError: the file is not such an image, or is damaged, too large or too small, or
            cannot be decoded now.
    """
    if len(data) > max_bytes:
        raise too_large(max_bytes)
    arguments = {"max_pixels": max_pixels, "min_side": min_side}
    arguments |= {"max_side": max_side or 0, "square": square or 0}
    try:
        reply, pixels = pool.run("xraysite.common.image_task:decode", arguments, data)
    except pool.DecoderFailedError as error:
        code = "pixels" if error.code == "memory" else "costly"
        raise PictureError(_MESSAGES[code]) from error
    except (DecodersBusyError, pool.DecoderUnavailableError) as error:
        raise PictureError(_MESSAGES["later"]) from error
    if "error" in reply:
        raise PictureError(format_lazy(_MESSAGES[reply["error"]], pixels=min_side))
    return Image.frombytes("RGB", tuple(reply["size"]), bytes(pixels))


_MESSAGES = {
    "kind": _("This file is not a JPEG, PNG or WebP image."),
    "pixels": _("The image has too many pixels. Upload a smaller one."),
    "small": _("The image is too small. Each side must be at least {pixels} pixels."),
    "animated": _("Animated images are not supported. Upload a still image."),
    "damaged": _("The image file is damaged. Upload another one."),
    "costly": _("The image takes too long to decode. Upload another one."),
    "later": _("Images cannot be processed right now. Wait a few seconds and try again."),
}


def encode(picture: Image.Image, *, lossless: bool = False) -> bytes:
    """Encode the pixels as WebP without metadata such as colour profile, location or comments."""
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    out = io.BytesIO()
    clean.save(out, "WEBP", quality=85, method=4, lossless=lossless)
    return out.getvalue()
