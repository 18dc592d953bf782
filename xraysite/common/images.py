"""Validation and re-encoding of uploaded images; only pixels are kept."""

import io
import warnings

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP")


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


def decode(data: bytes, *, max_bytes: int, max_pixels: int, min_side: int = 1) -> Image.Image:
    """Decode a JPEG, PNG or WebP file with one frame to upright RGB.

    Raises:
        PictureError: the file is not such an image, or is damaged, too large or too small.
    """
    if len(data) > max_bytes:
        raise too_large(max_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                _check(picture, max_pixels=max_pixels, min_side=min_side)
                return ImageOps.exif_transpose(picture).convert("RGB")
    except UnidentifiedImageError:
        raise PictureError(_("This file is not a JPEG, PNG or WebP image.")) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(_("The image has too many pixels. Upload a smaller one.")) from None
    except PictureError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError):
        raise PictureError(_("The image file is damaged. Upload another one.")) from None


def _check(picture: Image.Image, *, max_pixels: int, min_side: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        raise PictureError(_("The image has too many pixels. Upload a smaller one."))
    if min(width, height) < min_side:
        raise PictureError(
            format_lazy(
                _("The image is too small. Each side must be at least {pixels} pixels."),
                pixels=min_side,
            )
        )
    if getattr(picture, "n_frames", 1) > 1:
        raise PictureError(_("Animated images are not supported. Upload a still image."))


def encode(picture: Image.Image, *, lossless: bool = False) -> bytes:
    """Encode the pixels as WebP without metadata such as colour profile, location or comments."""
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    out = io.BytesIO()
    clean.save(out, "WEBP", quality=85, method=4, lossless=lossless)
    return out.getvalue()
