"""How well found lungs agree with masks that people drew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine.data import masks as mask_files
from mlcore.engine.serving.lungs import SIDE, Lungs, bounding_box

WORST = 0.05  # share of films
EDGE = 0.03  # of the side


def agreement(found: Sequence[Lungs], masks: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Compare found lungs with masks.

    Args:
        found: n films.
        masks: (n, SIDE, SIDE) uint8, from `masks.read`; a film whose mask shows no lungs does not
            count.

    Returns:
        `n`; `dice`, the mean Dice coefficient over the pixels that the mask is sure of;
        `dice_worst`, its mean over the worst 5 % of films; `edges_within`, the share of films whose
        box deviates by at most 3 % of the side at each edge; NaN without films.
    """
    rows = [
        (_dice(lungs, mask), _edge_error(lungs, mask))
        for lungs, mask in zip(found, masks, strict=True)
        if mask_files.lung(mask).any()
    ]
    if not rows:
        return {"n": 0, "dice": np.nan, "dice_worst": np.nan, "edges_within": np.nan}
    dice, edges = np.array(rows).T
    worst = np.sort(dice)[: max(1, round(WORST * len(dice)))]
    return {
        "n": len(dice),
        "dice": float(dice.mean()),
        "dice_worst": float(worst.mean()),
        "edges_within": float((edges <= EDGE).mean()),
    }


def _dice(lungs: Lungs, mask: npt.NDArray[np.uint8]) -> float:
    sure = mask_files.known(mask)
    first, second = (lungs.mask > 0) & sure, mask_files.lung(mask)
    return float(2 * (first & second).sum() / max(1, first.sum() + second.sum()))


def _edge_error(lungs: Lungs, mask: npt.NDArray[np.uint8]) -> float:
    drawn = bounding_box(mask_files.lung(mask))
    return float(np.abs(np.array(lungs.box) - np.array(drawn)).max() / SIDE)
