"""From log-odds to probabilities that mean what they say, and the threshold to act on.

Both are fitted on validation films, never on the films they are reported on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics

Vector = npt.NDArray[np.float64]


def sigmoid(logits: npt.ArrayLike) -> Vector:
    """Log-odds -> probabilities, without overflow at either end."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))


@dataclass(frozen=True)
class Calibration:
    """What turns a network's log-odds into those of the validation films (Platt 1999).

    Attributes:
        temperature: the log-odds are divided by it; above 1 the network was too sure.
        bias: is added then; it undoes a class balance in training that the films do not have.
    """

    temperature: float
    bias: float

    def probabilities(self, logits: npt.ArrayLike) -> Vector:
        """Log-odds, of films or of their cells -> probabilities of PNEUMONIA."""
        return sigmoid(np.asarray(logits, np.float64) / self.temperature + self.bias)

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> "Calibration":
        """Reads `card["calibration"]`."""
        return cls(temperature=entry["temperature"], bias=entry["bias"])


def fit(labels: npt.ArrayLike, logits: npt.ArrayLike, *, ridge: float = 1e-2) -> Calibration:
    """Returns the calibration that fits `labels` best, by Newton's method; the loss is convex.

    Args:
        labels: (n,) 0 or 1, both present.
        logits: (n,) finite.
        ridge: weight, in films, of a prior at temperature 1 and bias 0. It keeps the answer finite
            where the films are told apart perfectly.

    Raises:
        ValueError: only one class is present, or log-odds and labels run against each other, so
            that no positive temperature fits.
    """
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    if len(np.unique(labels)) != 2:
        raise ValueError("A calibration needs films of both classes.")
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    prior = np.array([1.0, 0.0])
    weights = prior.copy()
    for _ in range(100):
        p = sigmoid(design @ weights)
        gradient = design.T @ (p - labels) + ridge * (weights - prior)
        curvature = (design * (p * (1 - p))[:, np.newaxis]).T @ design + ridge * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        # A damped step: far from the answer, a whole one may overshoot.
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    if weights[0] <= 0:
        raise ValueError("The network's log-odds run against the labels; it learnt nothing.")
    return Calibration(temperature=float(1 / weights[0]), bias=float(weights[1]))


def best_balanced_threshold(labels: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Returns the log-odds at which sensitivity + specificity is largest.

    It lies half-way between the two neighbouring films; of several best places, the middle one.
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
    """Returns a threshold, in log-odds, that hangs on no single film.

    The median, over films drawn again with replacement, of the place where sensitivity plus
    specificity is largest: both errors count the same, whatever the share of the sick.

    Args:
        labels: (n,) 0 or 1, both present.
        logits: (n,) finite.

    Raises:
        ValueError: only one class is present.
    """
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    if not all(len(members) for members in classes):
        raise ValueError("A threshold needs films of both classes.")
    rng = np.random.default_rng(seed)
    places = []
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(members, len(members)) for members in classes])
        places.append(best_balanced_threshold(labels[drawn], logits[drawn]))
    return float(np.median(places))
