"""Preprocessing of a film for a network that reads the lungs only, in training and serving.

The bounding box of the lungs is stretched to a square, which normalises position, size and both
axes. Everything outside the lungs is replaced by their mean grey level, so nothing outside can
change what the network sees.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine.serving import lungs as finder
from mlcore.engine.serving.lungs import SIDE, Lungs
from mlcore.engine.serving.preprocess import MIDDLE, Preprocessing, local_contrast

Pixels = npt.NDArray[np.uint8]
# The coefficients of PIL's affine transform, from output to input pixels.
Affine = tuple[float, float, float, float, float, float]


def prepare(film: Pixels, lungs: Lungs, *, size: int, spec: Preprocessing) -> Pixels:
    """Preprocess a film.

    Args:
        film: (SIDE, SIDE), squashed to a square.
        lungs: the lungs on it.
        size: side of the network's input in pixels.
        spec: margin, grow and window.

    Returns:
        (size, size) uint8, see `contrast`.
    """
    weight = finder.weights(lungs, grow=spec.grow)
    place = to_box(finder.expand(lungs.box, spec.margin), size)
    return contrast(*cut(blanked(film, weight), weight, place, size), window=spec.window)


def blanked(film: Pixels, weight: Pixels) -> Pixels:
    """Return a film with the pixels that do not count replaced by the mean of those that do."""
    total = int(weight.sum())
    mean = round(float((film.astype(np.int64) * weight).sum() / total)) if total else MIDDLE
    return np.where(weight > 0, film, np.uint8(mean))


def to_box(box: finder.Box, size: int) -> Affine:
    """Return the transform that stretches a box of the film to (size, size) pixels."""
    left, top, right, bottom = box
    return (right - left) / size, 0.0, left, 0.0, (bottom - top) / size, top


def cut(film: Pixels, weight: Pixels, place: Affine, size: int) -> tuple[Pixels, Pixels]:
    """Cut (size, size) pixels out of a film and its weights; both are 0 outside the film."""
    cut_film, cut_weight = (
        np.asarray(
            Image.fromarray(image).transform(
                (size, size), Image.Transform.AFFINE, place, Image.Resampling.BILINEAR
            )
        )
        for image in (film, weight)
    )
    return cut_film, cut_weight


def contrast(film: Pixels, weight: Pixels, *, window: float) -> Pixels:
    """Replace what does not count by the mean of what does, and normalise the local contrast.

    The mean is a reference for both lungs: an opacity of a whole lung stays visible, which a
    neighbourhood inside the lungs alone would remove.

    Args:
        film: (n, n).
        weight: (n, n), 255 counts fully and 0 not at all.
        window: standard deviation of the Gaussian neighbourhood, as a share of the side.

    Returns:
        (n, n) uint8, see `preprocess.local_contrast`.
    """
    counts = weight.astype(np.float64) / 255
    total = counts.sum()
    mean = float((counts * film).sum() / total) if total else float(MIDDLE)
    filled = np.rint(counts * film + (1 - counts) * mean).astype(np.uint8)
    return local_contrast(filled, window=window)


def on_film(
    values: npt.NDArray[np.floating], lungs: Lungs, *, spec: Preprocessing, cells: int
) -> npt.NDArray[np.float32]:
    """Place a map of the box on the film, and remove what lies outside the lungs.

    Args:
        values: (h, w) in [0, 1], a map of the box.
        lungs: the lungs on the film.
        spec: the preprocessing that made the box.
        cells: side of the result; divides SIDE.

    Returns:
        (cells, cells) float32 in [0, 1].
    """
    left, top, right, bottom = finder.expand(lungs.box, spec.margin)
    height, width = values.shape
    step = SIDE / cells
    x, y = width / (right - left), height / (bottom - top)
    # The map's outermost half cells are extended, instead of fading to 0 at the edge of the box.
    padded = np.pad(np.asarray(values, np.float32), 1, mode="edge")
    placed = Image.fromarray(padded).transform(
        (cells, cells),
        Image.Transform.AFFINE,
        (x * step, 0.0, 1 - left * x, 0.0, y * step, 1 - top * y),
        Image.Resampling.BICUBIC,
    )
    inside = Image.fromarray(finder.weights(lungs, grow=spec.grow)).resize(
        (cells, cells), Image.Resampling.BOX
    )
    shown = np.clip(np.asarray(placed, np.float32), 0, 1)
    return shown * (np.asarray(inside, np.float32) / np.float32(255))
