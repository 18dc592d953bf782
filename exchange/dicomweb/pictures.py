"""Rendered films: as pages show them, or through a window (PS3.18, 8.3.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.conf import settings
from django.http import QueryDict
from django.utils.translation import gettext as _

from diagnosis.models import Reading
from diagnosis.services.films import VIEWER_SIDE, film_rendering, original_film
from exchange.dicomweb.objects import run_task
from exchange.dicomweb.queries import BadQueryError

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}
FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
QUALITY = 88
MAX_SIDE = 10_000


@dataclass(frozen=True)
class Rendering:
    """How a film is to be rendered.

    Attributes:
        format: JPEG or PNG.
        window: centre, width and function in modality units; None for the film as pages show it.
        size: the box that the picture has to fit in, in pixels.
        region: left, top, width and height of the part of the film to show.
        quality: JPEG quality, 1 to 100.
    """

    format: str = "JPEG"
    window: tuple[float, float, str] | None = None
    size: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    quality: int = QUALITY

    def picture(self, reading: Reading) -> bytes:
        """Return the picture.

        Raises:
            FilmMissingError, UnreadableError: the film is missing or cannot be decoded.
        """
        if self._is_stored(reading):
            return film_rendering(reading, max_side=VIEWER_SIDE)
        arguments = {
            "max_bytes": settings.FILM_MAX_BYTES,
            "max_pixels": settings.FILM_MAX_PIXELS,
            "window": self.window,
            "region": self._region_of(reading),
            "size": self.size,
            "format": self.format,
            "quality": self.quality,
        }
        _facts, picture = run_task("rendered", arguments, original_film(reading))
        return bytes(picture)

    def _is_stored(self, reading: Reading) -> bool:
        """Return whether the picture that pages show is what is asked for."""
        plain = Rendering()
        side = max(reading.film_width, reading.film_height)
        return self == plain and side <= VIEWER_SIDE

    def _region_of(self, reading: Reading) -> tuple[int, int, int, int] | None:
        if self.region is None:
            return None
        left, top, width, height = self.region
        width = width or reading.film_width - left
        height = height or reading.film_height - top
        fits = left + width <= reading.film_width and top + height <= reading.film_height
        if not fits or width < 1 or height < 1:
            raise BadQueryError(_("The viewport lies outside the X-ray."))
        return left, top, width, height


def asked_for(parameters: QueryDict, media_type: str) -> Rendering:
    """Return how a film is to be rendered.

    Raises:
        BadQueryError: a parameter is malformed.
    """
    size, region = _viewport(parameters.get("viewport", ""))
    quality = parameters.get("quality", str(QUALITY))
    if not quality.isascii() or not quality.isdigit() or not 1 <= int(quality[:4]) <= 100:
        raise BadQueryError(_("%(name)s must be between 1 and 100.") % {"name": "quality"})
    return Rendering(
        format=FORMATS[media_type],
        window=_window(parameters.get("window", "")),
        size=size,
        region=region,
        quality=int(quality),
    )


def _window(text: str) -> tuple[float, float, str] | None:
    if not text:
        return None
    try:
        centre, width, function = (text if text.count(",") > 1 else f"{text},linear").split(",")
        window = float(centre), float(width), FUNCTIONS[function.lower()]
    except (ValueError, KeyError):
        raise _bad_window() from None
    if not all(map(math.isfinite, window[:2])) or window[1] < (1 if window[2] == "LINEAR" else 0):
        raise _bad_window()
    if window[1] == 0:
        raise _bad_window()
    return window


def _bad_window() -> BadQueryError:
    return BadQueryError(_("window takes centre, width and function, such as 2048,4096,linear."))


def _viewport(
    text: str,
) -> tuple[tuple[int, int] | None, tuple[int, int, int, int] | None]:
    if not text:
        return None, None
    try:
        numbers = [int(part) if part else 0 for part in text.split(",")]
    except ValueError:
        numbers = []
    valid = len(numbers) in (2, 6) and all(0 <= number <= MAX_SIDE * 10 for number in numbers)
    if not valid or not all(1 <= number <= MAX_SIDE for number in numbers[:2]):
        raise BadQueryError(
            _("viewport takes width and height, and the region to show as left, top, width, "
              "height.")
        )  # fmt: skip
    region = tuple(numbers[2:]) if len(numbers) == 6 else None
    return (numbers[0], numbers[1]), region  # type: ignore[return-value]
