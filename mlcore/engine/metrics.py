"""Metrics of a binary classifier with confidence intervals. Needs NumPy only.

Labels are 0 (NORMAL) and 1 (PNEUMONIA), shape (n,); probabilities are those of PNEUMONIA, shape
(n,). A metric that is undefined (only one class, no positive predictions) is NaN with a warning.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[Any]
Interval = tuple[float, float]

NAN_INTERVAL: Interval = (math.nan, math.nan)
Z_95 = 1.959963984540054
ECE_BINS = 15
ROC_POINTS = 200


class UndefinedMetricWarning(UserWarning):
    """Issued when a metric is undefined for the data."""


def _undefined(name: str, why: str) -> float:
    warnings.warn(f"{name} is undefined: {why}.", UndefinedMetricWarning, stacklevel=3)
    return math.nan


def _checked(labels: Vector, scores: Vector) -> tuple[Vector, Vector]:
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(
            f"Labels and scores must be vectors of equal length. "
            f"Received: {labels.shape} and {scores.shape}."
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"Labels must be 0 or 1. Received: {np.unique(labels)[:5]}.")
    if not np.isfinite(scores).all():
        raise ValueError("Scores must be finite.")
    return labels.astype(bool), scores


def _mid_ranks(values: Vector) -> Vector:
    """Return ranks starting at 1; ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def auc(labels: Vector, scores: Vector) -> float:
    """Return the area under the ROC curve."""
    labels, scores = _checked(labels, scores)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return _undefined("AUC", "only one class is present")
    rank_sum = _mid_ranks(scores)[labels].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def auc_interval(labels: Vector, scores: Vector) -> Interval:
    """Return the 95 % confidence interval of the AUC (DeLong et al. 1988).

    Computed on the logit of the AUC, so that it stays within [0, 1]. For an AUC of exactly 0 or 1,
    whose variance cannot be estimated, Hanley's "rule of three" is used.
    """
    labels, scores = _checked(labels, scores)
    area = auc(labels, scores)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if math.isnan(area) or min(positives, negatives) < 2:
        return NAN_INTERVAL
    if area in (0.0, 1.0):
        margin = min(1.0, 3 / min(positives, negatives))
        return (1 - margin, 1.0) if area == 1.0 else (0.0, margin)
    ranks = _mid_ranks(scores)
    above = (ranks[labels] - _mid_ranks(scores[labels])) / negatives
    below = 1 - (ranks[~labels] - _mid_ranks(scores[~labels])) / positives
    variance = above.var(ddof=1) / positives + below.var(ddof=1) / negatives
    logit = math.log(area / (1 - area))
    reach = Z_95 * math.sqrt(variance) / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-(logit + side * reach))) for side in (-1, 1))
    return (low, high)


def wilson_interval(successes: int, n: int) -> Interval:
    """Return the 95 % score interval of a proportion (Wilson 1927)."""
    if n == 0:
        return NAN_INTERVAL
    share, square = successes / n, Z_95**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    reach = Z_95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return (max(0.0, centre - reach), min(1.0, centre + reach))


def cohens_kappa(table: Sequence[Sequence[int]]) -> tuple[float, Interval]:
    """Return Cohen's kappa of two raters, with its 95 % interval.

    The interval is the large-sample one of Fleiss, Cohen and Everitt (1969).

    Args:
        table: square; counts by the category of the first rater (row) and the second (column).

    Returns:
        Kappa and its interval, limited to [-1, 1]. Kappa is NaN, with a warning, if there are no
        films or both raters used one and the same category only; the interval is NaN too if they
        never disagree, because its width cannot be estimated then.
    """
    counts = np.asarray(table, np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise ValueError(f"The table must be square, with counts. Received: {table!r}.")
    n = counts.sum()
    if not n:
        return _undefined("Kappa", "there are no such films"), NAN_INTERVAL
    p = counts / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    agreed, by_chance = float(np.trace(p)), float(rows @ columns)
    if math.isclose(by_chance, 1.0):
        return _undefined("Kappa", "both raters used one category only"), NAN_INTERVAL
    kappa = (agreed - by_chance) / (1 - by_chance)
    if math.isclose(agreed, 1.0):
        return kappa, NAN_INTERVAL
    diagonal = np.diag(p) * (1 - (rows + columns) * (1 - kappa)) ** 2
    others = p * (columns[:, None] + rows[None, :]) ** 2
    variance = (
        diagonal.sum()
        + (1 - kappa) ** 2 * (others.sum() - np.trace(others))
        - (kappa - by_chance * (1 - kappa)) ** 2
    ) / (n * (1 - by_chance) ** 2)
    reach = Z_95 * math.sqrt(max(0.0, float(variance)))
    return kappa, (max(-1.0, kappa - reach), min(1.0, kappa + reach))


def median_interval(values: Sequence[float]) -> tuple[float, Interval]:
    """Return the median and its distribution-free 95 % interval, from order statistics.

    Returns:
        NaN, with a warning, without values; the interval is NaN for fewer than 6 values, with
        which no such interval reaches 95 %.
    """
    ordered = sorted(values)
    n = len(ordered)
    if not n:
        return _undefined("The median", "there are no values"), NAN_INTERVAL
    median = float(np.median(ordered))
    # The largest rank that at most 2.5 % of samples have above the median.
    below, rank = 0.5**n if n < 1000 else 0.0, 0
    if n >= 1000:
        rank = max(1, math.floor(n / 2 - Z_95 * math.sqrt(n) / 2))
    else:
        while below <= 0.025:
            rank += 1
            below += math.comb(n, rank) * 0.5**n
    if not rank:
        return median, NAN_INTERVAL
    return median, (float(ordered[rank - 1]), float(ordered[n - rank]))


def predictive_value(
    true: tuple[int, int], false: tuple[int, int], prevalence: float
) -> tuple[float, Interval]:
    """Return a predictive value at a prevalence, by Bayes' theorem, with its 95 % interval.

    The interval is that of the likelihood ratio, the ratio of two proportions, from their Wilson
    intervals (MOVER-R, Donner and Zou 2012), which holds for rare and absent false results as well.
    The prevalence is taken as known.

    Args:
        true: films that have the condition and are called so, and all that have it.
        false: films that don't have the condition but are called so, and all that don't.
        prevalence: proportion of films that have the condition, in (0, 1).

    Returns:
        The value and its interval; NaN, with a warning, if no film is called so or none exists.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"The prevalence must be between 0 and 1. Received: {prevalence}.")
    (hits, with_it), (errors, without) = true, false
    if not (with_it and without and hits + errors):
        return _undefined("The predictive value", "no film is called so"), NAN_INTERVAL
    odds = prevalence / (1 - prevalence)
    right, wrong = odds * hits / with_it, errors / without
    value = right / (right + wrong)
    low, high = _ratio_interval(true, false)
    return value, (
        odds * low / (1 + odds * low),
        1.0 if math.isinf(high) else odds * high / (1 + odds * high),
    )


def _ratio_interval(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """Return the interval of the ratio of two proportions, infinity if the second may be 0."""
    p1, p2 = first[0] / first[1], second[0] / second[1]
    (low1, high1), (low2, high2) = wilson_interval(*first), wilson_interval(*second)
    product = p1 * p2
    # The lower limit in a form that is defined where `high2` is twice `p2`.
    spread = product**2 - low1 * high2 * (2 * p1 - low1) * (2 * p2 - high2)
    reach = product + math.sqrt(max(0.0, spread))
    low = low1 * (2 * p1 - low1) / reach if first[0] else 0.0
    if not second[0]:
        return low, math.inf
    spread = product**2 - high1 * low2 * (2 * p1 - high1) * (2 * p2 - low2)
    return low, (product + math.sqrt(max(0.0, spread))) / (low2 * (2 * p2 - low2))


def confusion(labels: Vector, probabilities: Vector, threshold: float) -> dict[str, int]:
    """Return the confusion counts; a probability equal to the threshold is positive."""
    labels, probabilities = _checked(labels, probabilities)
    called = probabilities >= threshold
    return {
        "tp": int((labels & called).sum()),
        "fp": int((~labels & called).sum()),
        "tn": int((~labels & ~called).sum()),
        "fn": int((labels & ~called).sum()),
    }


def share(successes: int, n: int, name: str) -> float:
    """Return `successes / n`, or NaN with a warning if `n` is 0."""
    return successes / n if n else _undefined(name, "there are no such films")


def brier(labels: Vector, probabilities: Vector) -> float:
    """Return the Brier score, the mean squared error of the probabilities (Brier 1950)."""
    labels, probabilities = _checked(labels, probabilities)
    if not labels.size:
        return _undefined("The Brier score", "there are no films")
    return float(np.mean((probabilities - labels) ** 2))


def reliability(
    labels: Vector, probabilities: Vector, *, bins: int = ECE_BINS
) -> list[tuple[float, float, int]]:
    """Return (mean probability, fraction of positives, films) of each non-empty bin."""
    labels, probabilities = _checked(labels, probabilities)
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        (float(probabilities[place == b].mean()), float(labels[place == b].mean()), int(count))
        for b, count in enumerate(np.bincount(place, minlength=bins))
        if count
    ]


def ece(labels: Vector, probabilities: Vector, *, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error over bins of equal width."""
    table = reliability(labels, probabilities, bins=bins)
    total = sum(count for _, _, count in table)
    if not total:
        return _undefined("ECE", "there are no films")
    return sum(count * abs(mean - observed) for mean, observed, count in table) / total


def roc(labels: Vector, scores: Vector) -> tuple[Vector, Vector, Vector]:
    """Return (false positive rate, true positive rate, threshold) by falling threshold."""
    labels, scores = _checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), labels.size - 1)
    true = np.cumsum(labels[order])[ends]
    false = ends + 1 - true
    positives, negatives = max(1, int(labels.sum())), max(1, int((~labels).sum()))
    return (
        np.append(0.0, false / negatives),
        np.append(0.0, true / positives),
        np.append(np.inf, scores[order][ends]),
    )


def roc_points(labels: Vector, probabilities: Vector) -> dict[str, list[float]]:
    """Return at most ROC_POINTS points of the ROC curve, by falling threshold."""
    false, true, cuts = roc(labels, probabilities)
    false, true, cuts = false[1:], true[1:], cuts[1:]
    # Evenly spaced along the curve, so that its corner is well sampled.
    length = np.cumsum(np.abs(np.diff(false, prepend=0)) + np.abs(np.diff(true, prepend=0)))
    wanted = np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS))
    kept = np.unique(np.minimum(wanted, len(cuts) - 1))
    return {
        "probability": [round(float(cut), 6) for cut in cuts[kept]],
        "sensitivity": [round(float(value), 6) for value in true[kept]],
        "specificity": [round(float(1 - value), 6) for value in false[kept]],
    }


def bootstrap_interval(
    figure: Callable[[Vector, Vector], float],
    labels: Vector,
    probabilities: Vector,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Interval:
    """Return the 95 % bootstrap percentile interval of a metric.

    Args:
        figure: the metric, a function of labels and probabilities.
        labels: (n,) 0 or 1.
        probabilities: (n,) probabilities of PNEUMONIA.
        seed: seed of the resampling.
        resamples: number of resamples.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if not labels.size:
        return NAN_INTERVAL
    rng = np.random.default_rng(seed)
    values = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        for _ in range(resamples):
            drawn = rng.integers(0, labels.size, labels.size)
            values.append(figure(labels[drawn], probabilities[drawn]))
    if np.isnan(values).all():
        return NAN_INTERVAL
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return (float(low), float(high))


def evaluate(
    labels: Vector, probabilities: Vector, *, threshold: float, seed: int = 0
) -> dict[str, Any]:
    """Return all metrics of a set of films, as reported on cards and by `evaluate_model`.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) calibrated probabilities of PNEUMONIA.
        threshold: probability from which a film is called PNEUMONIA.
        seed: seed of the bootstrap.

    Returns:
        `n`, `threshold`, `confusion`, and `auc`, `accuracy`, `sensitivity`, `specificity`, `ppv`,
        `npv`, `brier`, `ece`, each with its 95 % confidence interval under `<name>_ci`.
    """
    counts = confusion(labels, probabilities, threshold)
    tp, fp, tn, fn = (counts[key] for key in ("tp", "fp", "tn", "fn"))
    n = tp + fp + tn + fn
    shares = {
        "accuracy": (tp + tn, n),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
    }
    figures: dict[str, Any] = {"n": n, "threshold": threshold, "confusion": counts}
    figures["auc"] = auc(labels, probabilities)
    figures["auc_ci"] = auc_interval(labels, probabilities) if n else NAN_INTERVAL
    for name, (successes, total) in shares.items():
        figures[name] = share(successes, total, name)
        figures[f"{name}_ci"] = wilson_interval(successes, total)
    for name, figure in (("brier", brier), ("ece", ece)):
        figures[name] = figure(labels, probabilities)
        figures[f"{name}_ci"] = bootstrap_interval(figure, labels, probabilities, seed=seed)
    return figures
