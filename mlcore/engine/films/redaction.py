"""Redaction of films: boxes filled with black, for sharing without patient data."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mlcore.engine.films.film import Film

__all__ = ["Box", "render_redacted"]

BLACK = 0
# Tolerance for sums of two rounded fractions.
_SLACK = 1e-6


@dataclass(frozen=True)
class Box:
    """A rectangle, in fractions of the film's width and height from the upper left corner.

    Raises:
        ValueError: the box is empty or extends beyond the film.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        sides = ((self.left, self.width), (self.top, self.height))
        # Comparisons with NaN are false, so NaN is refused too.
        if not all(
            0 <= start <= 1 and 0 < length <= 1 and start + length <= 1 + _SLACK
            for start, length in sides
        ):
            raise ValueError("A box must be inside the film and not be empty.")

    def pixels(self, width: int, height: int) -> tuple[slice, slice]:
        """Return row and column slices that cover every pixel the box touches."""
        return (
            slice(math.floor(self.top * height), math.ceil((self.top + self.height) * height)),
            slice(math.floor(self.left * width), math.ceil((self.left + self.width) * width)),
        )


def render_redacted(film: Film, boxes: Sequence[Box], *, max_side: int) -> bytes:
    """Render a film as a greyscale PNG with `boxes` filled with black.

    The boxes are filled before resizing, so that nothing under them affects neighbouring pixels,
    and again afterwards. The file is lossless and contains no metadata; the same film and boxes
    always give the same bytes.

    Args:
        film: the film to render.
        boxes: the regions to redact.
        max_side: maximum side length in pixels; smaller films keep their size.
    """
    picture = Image.fromarray(_redacted(film.pixels, boxes))
    share = max_side / max(picture.size)
    if share < 1:
        size = (max(1, round(film.width * share)), max(1, round(film.height * share)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    reduced = _redacted(np.asarray(picture), boxes)
    buffer = io.BytesIO()
    Image.fromarray(reduced).save(buffer, "PNG")
    return buffer.getvalue()


def _redacted(pixels: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    drawn = np.array(pixels, dtype=np.uint8)
    height, width = drawn.shape
    for box in boxes:
        drawn[box.pixels(width, height)] = BLACK
    return drawn
