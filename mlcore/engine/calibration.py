"""From log-odds to probabilities that mean what they say, and the threshold to act on.

Both are fitted on validation films, never on the films they are reported on.
"""

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics

Vector = npt.NDArray[np.float64]

_GOLDEN = (np.sqrt(5) - 1) / 2


def sigmoid(logits: npt.ArrayLike) -> Vector:
    """Log-odds -> probabilities, without overflow at either end."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))


def log_loss(labels: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Mean negative log-likelihood of `labels` (0 or 1) under `logits`."""
    logits = np.asarray(logits, np.float64)
    return float(np.mean(np.logaddexp(0, logits) - np.asarray(labels) * logits))


def fit_temperature(
    labels: npt.ArrayLike, logits: npt.ArrayLike, *, low: float = 0.05, high: float = 20.0
) -> float:
    """Returns the temperature T for which `sigmoid(logits / T)` fits `labels` best (Guo 2017).

    Found by golden-section search over log T: in 1/T the loss is convex.

    Args:
        labels: (n,) 0 or 1, both present.
        logits: (n,) finite.
        low, high: bounds of T; one of them is returned where the films are separated perfectly.

    Raises:
        ValueError: only one class is present.
    """
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    if len(np.unique(labels)) != 2:
        raise ValueError("A temperature needs films of both classes.")

    def loss(log_temperature: float) -> float:
        return log_loss(labels, logits / np.exp(log_temperature))

    left, right = np.log(low), np.log(high)
    for _ in range(60):
        first = right - _GOLDEN * (right - left)
        second = left + _GOLDEN * (right - left)
        if loss(first) <= loss(second):
            right = second
        else:
            left = first
    return float(np.exp((left + right) / 2))


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
