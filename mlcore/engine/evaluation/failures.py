"""Description of a model's errors on test films, without showing the films."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import LABELS
from mlcore.engine.evaluation.predictions import Predictions

Pixels = npt.NDArray[np.uint8]
EDGE = 0.11
# Traits outside these quantiles of all films are mentioned.
RARE = 0.1


def traits_of(film: Pixels) -> npt.NDArray[np.float64]:
    """Return (edge brightness, contrast, sharpness) of a (H, W) film."""
    grey = film.astype(np.float64)
    rows, columns = (max(1, round(EDGE * side)) for side in film.shape)
    inner = np.zeros(film.shape, bool)
    inner[rows:-rows, columns:-columns] = True
    spread = grey[inner].std()
    steps = np.abs(np.diff(grey, axis=1))[:, :-1].mean()
    return np.array([grey[~inner].mean(), spread, steps / max(spread, 1.0)])


def describe(
    films: Sequence[Pixels],
    labels: npt.NDArray[Any],
    series: Sequence[str],
    answers: Predictions,
    shown_maps: Sequence[npt.NDArray[Any]],
    shown: Sequence[str],
    wrong: npt.NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Return `card["failures"]`, the most confident errors first.

    Args:
        films: (H, W) uint8 each.
        labels: (n,) 0 or 1.
        series: numbering series or aetiology of each film, "" if unknown.
        answers: the predictions for the films.
        shown_maps: (h, w) in [0, 1] each, the heatmap a doctor would see.
        shown: the result a doctor would see: a label, UNSURE or OUT_OF_SCOPE.
        wrong: (n,) whether the film is on the wrong side of the threshold.
    """
    traits = np.stack([traits_of(film) for film in films])
    low, high = np.quantile(traits, [RARE, 1 - RARE], axis=0)
    surest = np.abs(answers.probabilities - labels)
    order = sorted(np.flatnonzero(wrong).tolist(), key=lambda i: -float(surest[i]))
    return [
        {
            "truth": LABELS[labels[i]],
            "answer": shown[i],
            "probability": float(answers.probabilities[i]),
            "series": series[i],
            "where": _strongest(shown_maps[i]),
            "traits": _words(traits[i], low, high),
        }
        for i in order
    ]


def _words(traits: npt.NDArray[Any], low: npt.NDArray[Any], high: npt.NDArray[Any]) -> list[str]:
    names = (("dark_edge", "bright_edge"), ("flat", "high_contrast"), ("blurred", "sharp"))
    words = []
    for place, (below, above) in enumerate(names):
        if traits[place] < low[place]:
            words.append(below)
        elif traits[place] > high[place]:
            words.append(above)
    return words


def _strongest(evidence: npt.NDArray[Any]) -> str:
    """Return the part of the image (as displayed) where the map is strongest, "" if it is empty."""
    height, width = evidence.shape
    row, column = np.unravel_index(int(np.argmax(evidence)), evidence.shape)
    if min(height, width) < 3 or evidence.max() <= 0:
        return ""
    if abs(column + 0.5 - width / 2) < width / 8:
        return "middle"
    return f"{'upper' if row < height / 2 else 'lower'}_{'left' if column < width / 2 else 'right'}"
