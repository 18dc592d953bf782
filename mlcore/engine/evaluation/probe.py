"""Does a network look at the lungs? It reads films of which a part is blacked out.

A network that tells the labels apart without the lungs has found something else that goes with
them: a marker, the collimation, how the child lies.
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
from mlcore.engine.evaluation.predictions import Change

Pixels = npt.NDArray[np.uint8]
FRAME = 0.11
CORNER = 0.22
PROBES = ("none", "lungs_masked", "frame_masked", "corners_masked", "frame_alone")


def masked(film: Pixels, probe: str, field: Field) -> Pixels:
    """Return a copy of a (H, W) film with what `probe` names blacked out.

    Args:
        probe: one of PROBES.
        field: where the lungs lie; see `lungs.find`.
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
        raise ValueError(f"Unknown probe {probe!r}. Known: {', '.join(PROBES)}.")
    return np.where(hidden, 0, film).astype(np.uint8)


def report(
    labels: npt.NDArray[Any],
    answers: Callable[[Change], tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    field: Field,
    *,
    local_evidence: Callable[[Any], npt.NDArray[Any]],
) -> dict[str, Any]:
    """Run every probe; returns the card's `shortcuts`, less where it was measured.

    Args:
        labels: (n,) 0 or 1.
        answers: given a change of the pixels, the probabilities (n,) and evidence maps of the
            changed films, in the order of `labels`.
        field: where the lungs lie.
        local_evidence: evidence map -> the (h, w) map in [0, 1] that a doctor sees.
    """
    rows, share = [], {}
    for name in PROBES:
        probabilities, maps = answers(partial(_masked, name, field))
        area = metrics.auc(labels, probabilities)
        interval = list(metrics.auc_interval(labels, probabilities))
        rows.append({"probe": name, "auc": area, "auc_ci": interval})
        if name == "none":
            shown = [local_evidence(maps[i]) for i in np.flatnonzero(labels).tolist()]
            share = activation_in_lungs(shown, field)
    return {"n": len(labels), "probes": rows, "activation_in_lungs": share}


def _masked(probe: str, field: Field, film: Pixels, place: int) -> Pixels:
    return masked(film, probe, field)


def activation_in_lungs(maps: Sequence[npt.NDArray[Any]], field: Field) -> dict[str, float]:
    """Share of the maps' weight that lies inside the field, beside the field's share of the film.

    Args:
        maps: (h, w) in [0, 1] each, of films labelled PNEUMONIA.
    """
    total = np.sum(maps, axis=0)
    weights = _coverage(field, total.shape)
    weight = float(total.sum())
    return {
        "share": float((total * weights).sum() / weight) if weight else float("nan"),
        "area": float(weights.mean()),
    }


def _coverage(field: Field, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Share of each map cell that the field covers."""
    image = Image.fromarray(field.astype(np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float64)
