"""Probability calibration and choice of the threshold.

Both are fitted on validation films, never on the films that metrics are reported on.
"""

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.serving.calibration import Calibration, sigmoid

__all__ = ["Calibration", "choose_threshold", "fit", "sigmoid"]


def fit(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    ridge: float = 1e-2,
) -> Calibration:
    """Fit the calibration by Newton's method (the loss is convex).

    Args:
        labels: (n,) 0 or 1, both present.
        logits: (n,) finite.
        weights: (n,) how much each film counts; defaults to 1 each.
        ridge: weight, in films, of a prior at temperature 1 and bias 0, which keeps the result
            finite for perfectly separated films.

    Raises:
        ValueError: only one class is present, or the log-odds are negatively correlated with the
            labels.
    """
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    if len(np.unique(labels)) != 2:
        raise ValueError("Calibration needs films of both classes.")
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    prior = np.array([1.0, 0.0])
    scale = prior.copy()
    counts = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    for _ in range(100):
        p = sigmoid(design @ scale)
        gradient = design.T @ (counts * (p - labels)) + ridge * (scale - prior)
        curvature = (design * (counts * p * (1 - p))[:, np.newaxis]).T @ design
        step = np.linalg.solve(curvature + ridge * np.eye(2), gradient)
        # Damped, because a full step may overshoot far from the solution.
        scale = scale - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    if scale[0] <= 0:
        raise ValueError(
            "The log-odds are negatively correlated with the labels: the network learned nothing."
        )
    return Calibration(temperature=float(1 / scale[0]), bias=float(scale[1]))


def best_balanced_threshold(labels: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Return the log-odds that maximise sensitivity + specificity.

    The midpoint between two films; the middle one of several equally good thresholds.
    """
    false, true, cuts = metrics.roc(np.asarray(labels), np.asarray(logits))
    gain = true - false
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    index = int(best[len(best) // 2])
    here = cuts[index]
    following = cuts[index + 1] if index + 1 < len(cuts) else here
    return float(following if np.isinf(here) else (here + following) / 2)


def choose_threshold(
    labels: npt.ArrayLike, logits: npt.ArrayLike, *, seed: int = 0, resamples: int = 500
) -> float:
    """Return a threshold, in log-odds, that does not depend on single films.

    The bootstrap median of the threshold that maximises sensitivity + specificity: both errors have
    the same weight, regardless of the prevalence.

    Args:
        labels: (n,) 0 or 1, both present.
        logits: (n,) finite.

    Raises:
        ValueError: only one class is present.
    """
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    if not all(len(members) for members in classes):
        raise ValueError("Choosing a threshold needs films of both classes.")
    rng = np.random.default_rng(seed)
    places = []
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(members, len(members)) for members in classes])
        places.append(best_balanced_threshold(labels[drawn], logits[drawn]))
    return float(np.median(places))
