"""The average lung field of a population of films.

Children are positioned alike, so the mean of many films shows two dark lungs. The field is coarse,
but good enough to test whether a network uses this region.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine.serving.preprocess import equalise

SIDE = 56
Field = npt.NDArray[np.bool_]


def find(films: Sequence[npt.NDArray[np.uint8]]) -> Field:
    """Find the lung field from films without disease.

    Args:
        films: (H, W) uint8 each, higher is whiter; at least a few dozen.

    Returns:
        (SIDE, SIDE) bool, slightly dilated.

    Raises:
        ValueError: the mean film shows no dark region in either half.
    """
    from scipy import ndimage

    mean = np.mean([_thumbnail(film) for film in films], axis=0)
    row, column = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    inner = (row > 0.12) & (row < 0.84) & (column > 0.1) & (column < 0.9)
    dark = (mean < _otsu(mean[inner])) & inner
    field = np.zeros_like(dark)
    for half in (column < 0.5, column >= 0.5):
        regions, count = ndimage.label(dark & half)
        sizes = np.bincount(regions.ravel(), minlength=2)[1:]
        if not count or sizes.max() < 0.02 * SIDE * SIDE:
            raise ValueError("The mean film shows no dark region in one half.")
        field |= regions == 1 + int(sizes.argmax())
    return ndimage.binary_dilation(ndimage.binary_fill_holes(field), iterations=2)


def _thumbnail(film: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    image = Image.fromarray(equalise(film)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image, np.float64)


def _otsu(values: npt.NDArray[np.float64]) -> float:
    """Return the threshold with the largest between-class variance (Otsu 1979)."""
    ordered = np.sort(values.ravel())
    count = np.arange(1, ordered.size)
    below = np.cumsum(ordered)[:-1] / count
    above = (ordered.sum() - np.cumsum(ordered)[:-1]) / (ordered.size - count)
    return float(ordered[np.argmax(count * (ordered.size - count) * (above - below) ** 2)])


def resized(field: Field, shape: tuple[int, int]) -> Field:
    """Return the field resized to (height, width)."""
    image = Image.fromarray(field.astype(np.uint8) * 255)
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BOX)) >= 128


def to_card(field: Field) -> list[str]:
    """Return the field as rows of 0 and 1."""
    return ["".join("1" if cell else "0" for cell in row) for row in field]


def from_card(rows: Sequence[str]) -> Field:
    """Read what `to_card` wrote."""
    return np.array([[cell == "1" for cell in row] for row in rows])
