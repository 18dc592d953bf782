"""How much of a heatmap lies outside the lungs, by a coarse estimate of where the lungs are.

The estimate is a ridge regression from a small equalised film to the share of each cell that is
lung or close to it. It was fitted to masks that people drew on films of children, and says nothing
of films outside that population. `scripts/fit_lung_coverage.py` fits it and measures its errors;
decision 0023 states them. A network that segments the lungs can replace `coverage` without any
other change.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine.serving.preprocess import equalise

FILE = Path(__file__).with_name("lung_coverage.npz")
SIDE = 28  # of the small film
CELLS = 8  # per side of the estimate
# Evidence within this share of the film's side of the lungs counts as inside: a heatmap's cells are
# an eighth of the side.
MARGIN = 10 / 224
# From this evidence on, a heatmap's colours can be seen.
VISIBLE = 0.45
# A heatmap with a smaller share of its evidence inside gets the warning.
LEAST_INSIDE = 0.55

Map = npt.NDArray[np.float32]


def small_film(pixels: npt.NDArray[np.uint8]) -> Map:
    """Return a film as the regression's input.

    Args:
        pixels: (H, W), higher is whiter, of any size of at least 28 pixels a side.

    Returns:
        (784,) float32 in [0, 1].
    """
    small = Image.fromarray(equalise(pixels)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return (np.asarray(small, np.float32) / np.float32(255)).ravel()


@lru_cache(maxsize=1)
def _fitted() -> dict[str, Map]:
    with np.load(FILE) as stored:
        return {name: stored[name].astype(np.float32) for name in ("mean", "weights", "offset")}


def coverage(pixels: npt.NDArray[np.uint8]) -> Map:
    """Estimate which part of each cell is lung, or within `MARGIN` of it.

    Args:
        pixels: (H, W), a frontal chest film of a child; higher is whiter.

    Returns:
        (8, 8) float32 in [0, 1].
    """
    fitted = _fitted()
    estimate = (small_film(pixels) - fitted["mean"]) @ fitted["weights"] + fitted["offset"]
    return np.clip(estimate, 0, 1).astype(np.float32).reshape(CELLS, CELLS)


def share_inside(evidence: npt.ArrayLike, cover: Map) -> float | None:
    """Return the share of a heatmap's evidence that lies in or close to the lungs.

    Args:
        evidence: (h, w) in [0, 1].
        cover: (8, 8) in [0, 1], from `coverage`.

    Returns:
        A share in [0, 1]; None if the heatmap shows nothing.
    """
    values = np.asarray(evidence, np.float32)
    if values.max() < VISIBLE:
        return None
    height, width = values.shape
    cells = np.asarray(Image.fromarray(cover).resize((width, height), Image.Resampling.BOX))
    return float((values * cells).sum() / values.sum())
