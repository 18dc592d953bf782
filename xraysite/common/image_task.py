"""What a decoder process does with an image; it runs without Django."""

import io
import warnings
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP")


def decode(arguments: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode an image for `xraysite.common.images.decode`.

    Returns:
        `size` with the RGB pixels, or `error`, the reason as a word.
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
