"""A film for other eyes: parts of it blackened, reduced, drawn on new pixels."""

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
# Sums of two rounded shares may end this much beyond the edge.
_SLACK = 1e-6


@dataclass(frozen=True)
class Box:
    """A rectangle of a film, in shares of the film's width and height from its upper left.

    Raises:
        ValueError: if it is empty or reaches beyond the film.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        sides = ((self.left, self.width), (self.top, self.height))
        # Written so that a NaN fails too.
        if not all(
            0 <= start <= 1 and 0 < length <= 1 and start + length <= 1 + _SLACK
            for start, length in sides
        ):
            raise ValueError("A box must lie on the film and not be empty.")

    def pixels(self, width: int, height: int) -> tuple[slice, slice]:
        """Return rows and columns of a picture of that size: every pixel the box touches."""
        return (
            slice(math.floor(self.top * height), math.ceil((self.top + self.height) * height)),
            slice(math.floor(self.left * width), math.ceil((self.left + self.width) * width)),
        )


def render_redacted(film: Film, boxes: Sequence[Box], *, max_side: int) -> bytes:
    """A grey PNG of the film with `boxes` black: lossless, so that they are black to the pixel.

    The boxes are filled before the film is reduced, so that nothing under them reaches a pixel
    beside them, and again after it. The file holds pixels and no metadata; the same film and boxes
    give the same bytes.

    Args:
        film: what to draw.
        boxes: what nobody is to see.
        max_side: longest side in pixels; a larger film is reduced, a smaller one kept.
    """
    picture = Image.fromarray(_blackened(film.pixels, boxes))
    share = max_side / max(picture.size)
    if share < 1:
        size = (max(1, round(film.width * share)), max(1, round(film.height * share)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    reduced = _blackened(np.asarray(picture), boxes)
    buffer = io.BytesIO()
    Image.fromarray(reduced).save(buffer, "PNG")
    return buffer.getvalue()


def _blackened(pixels: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    drawn = np.array(pixels, dtype=np.uint8)
    height, width = drawn.shape
    for box in boxes:
        drawn[box.pixels(width, height)] = BLACK
    return drawn
