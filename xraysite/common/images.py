"""Validation and re-encoding of uploaded images; only pixels are kept."""

import io
import warnings
from typing import Any

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from PIL import Image, ImageOps, UnidentifiedImageError

from xraysite.common.decoders import pool
from xraysite.common.decoders.turns import DecodersBusyError

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
        reply, pixels = pool.run("xraysite.common.images:decode_here", arguments, data)
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


def decode_here(arguments: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode an image in this process; see `decode`.

    Returns:
        `size` with the RGB pixels, or `error`, a key of `_MESSAGES`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                problem = _problem(picture, arguments["max_pixels"], arguments["min_side"])
                if problem:
                    return {"error": problem}, b""
                upright = ImageOps.exif_transpose(picture).convert("RGB")
    except UnidentifiedImageError:
        return {"error": "kind"}, b""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return {"error": "pixels"}, b""
    except (OSError, SyntaxError, ValueError, EOFError):
        return {"error": "damaged"}, b""
    if arguments["square"]:
        side = arguments["square"]
        upright = ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS)
    elif arguments["max_side"]:
        most = arguments["max_side"]
        upright.thumbnail((most, most), Image.Resampling.LANCZOS)
    return {"size": upright.size}, upright.tobytes()


def _problem(picture: Image.Image, max_pixels: int, min_side: int) -> str:
    width, height = picture.size
    if width * height > max_pixels:
        return "pixels"
    if min(width, height) < min_side:
        return "small"
    return "animated" if getattr(picture, "n_frames", 1) > 1 else ""


def encode(picture: Image.Image, *, lossless: bool = False) -> bytes:
    """Encode the pixels as WebP without metadata such as colour profile, location or comments."""
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    out = io.BytesIO()
    clean.save(out, "WEBP", quality=85, method=4, lossless=lossless)
    return out.getvalue()
