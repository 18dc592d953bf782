"""Shortcut probes: predictions for films with regions masked in black.

A network that separates the labels without the lungs uses something else that correlates with them:
a marker, the collimation, the child's position.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine import metrics
from mlcore.engine.evaluation import lungs
from mlcore.engine.evaluation.lungs import Field
from mlcore.engine.evaluation.predictions import Change, Predictions
from mlcore.engine.serving.pipeline import Output

Pixels = npt.NDArray[np.uint8]
FRAME = 0.11
CORNER = 0.22
PROBES = ("none", "lungs_masked", "frame_masked", "corners_masked", "frame_alone")


def masked(film: Pixels, probe: str, field: Field) -> Pixels:
    """Return a copy of a (H, W) film with the region of `probe` masked.

    Args:
        film: uint8 pixels.
        probe: one of PROBES.
        field: the lung field; see `lungs.find`.
    """
    height, width = film.shape
    hidden = np.zeros(film.shape, bool)
    top, left = round(FRAME * height), round(FRAME * width)
    inner = (slice(top, height - top), slice(left, width - left))
    if probe == "lungs_masked":
        hidden = lungs.resized(field, film.shape)
    elif probe in ("frame_masked", "frame_alone"):
        hidden[inner] = True
        hidden = hidden if probe == "frame_alone" else ~hidden
    elif probe == "corners_masked":
        high, wide = round(CORNER * height), round(CORNER * width)
        for rows in (slice(0, high), slice(height - high, None)):
            for columns in (slice(0, wide), slice(width - wide, None)):
                hidden[rows, columns] = True
    elif probe != "none":
        raise ValueError(f"Unknown probe. Received: {probe!r}. Probes: {', '.join(PROBES)}.")
    return np.where(hidden, 0, film).astype(np.uint8)


def report(
    labels: npt.NDArray[Any],
    answers: Callable[[Change], Predictions],
    field: Field,
    *,
    heatmap: Callable[[Output], npt.NDArray[Any]],
) -> dict[str, Any]:
    """Run every probe and return `card["shortcuts"]` without the name of the data set.

    Args:
        labels: (n,) 0 or 1.
        answers: returns the predictions of the n films after a change.
        field: the lung field.
        heatmap: converts an output to the (h, w) heatmap of the film in [0, 1].
    """
    rows, share = [], {}
    for name in PROBES:
        given = answers(partial(_masked, name, field))
        area = metrics.auc(labels, given.probabilities)
        interval = list(metrics.auc_interval(labels, given.probabilities))
        rows.append({"probe": name, "auc": area, "auc_ci": interval})
        if name == "none":
            shown = [heatmap(given.outputs[i]) for i in np.flatnonzero(labels).tolist()]
            share = activation_in_lungs(shown, field)
    return {"n": len(labels), "probes": rows, "activation_in_lungs": share}


def _masked(probe: str, field: Field, film: Pixels, place: int) -> Pixels:
    return masked(film, probe, field)


def activation_in_lungs(maps: Sequence[npt.NDArray[Any]], field: Field) -> dict[str, float]:
    """Return the fraction of the maps' weight inside the field, and the field's area.

    Args:
        maps: (h, w) in [0, 1] each, of films labelled PNEUMONIA.
        field: the lung field.
    """
    total = np.sum(maps, axis=0)
    weights = _coverage(field, total.shape)
    weight = float(total.sum())
    return {
        "share": float((total * weights).sum() / weight) if weight else float("nan"),
        "area": float(weights.mean()),
    }


def _coverage(field: Field, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the fraction of each map cell that the field covers."""
    image = Image.fromarray(field.astype(np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float64)
