"""Drift: whether recent readings still look like the films that a model was measured on.

Two statistics, which must agree. The population stability index (PSI) measures how large a change
is; by convention 0.1 is a moderate and 0.25 a large change. The Kolmogorov-Smirnov test, or the
score test for proportions, says whether chance explains it.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

BINS = 10
PSI_ALARM = 0.25
# Smallest difference of a proportion that raises an alarm: rare findings have no useful PSI.
SHARE_ALARM = 0.05
# Probability of at least one alarm in all statistics together without any drift.
ALPHA = 0.01


@dataclass(frozen=True)
class Change:
    """How one statistic of recent readings compares with its reference.

    Attributes:
        name: the statistic.
        kind: "distribution" or "share".
        reference, current: medians of a distribution, or proportions.
        psi: population stability index.
        p: p-value; of the Kolmogorov-Smirnov test, or of the score test of two proportions.
        statistic: largest distance of the distribution functions, or difference of the shares.
        alarm: whether the change is large and not explained by chance.
    """

    name: str
    kind: str
    reference: float
    current: float
    psi: float
    p: float
    statistic: float
    alarm: bool


def of_distributions(
    name: str, reference: npt.ArrayLike, current: npt.ArrayLike, *, alpha: float
) -> Change:
    """Compare two samples of a continuous statistic.

    Args:
        name: the statistic.
        reference: (m,) finite.
        current: (n,) finite.
        alpha: p-value below which chance is no explanation.
    """
    old, new = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    index, (distance, p) = psi(old, new), kolmogorov_smirnov(old, new)
    return Change(
        name=name,
        kind="distribution",
        reference=float(np.median(old)),
        current=float(np.median(new)),
        psi=index,
        p=p,
        statistic=distance,
        alarm=index >= PSI_ALARM and p < alpha,
    )


def of_shares(
    name: str, reference: tuple[int, int], current: tuple[int, int], *, alpha: float
) -> Change:
    """Compare two proportions.

    Args:
        name: the statistic.
        reference: films with the finding, and all films; at least one.
        current: the same of recent readings.
        alpha: p-value below which chance is no explanation.
    """
    (a, m), (b, n) = reference, current
    old, new, pooled = a / m, b / n, (a + b) / (m + n)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    p = math.erfc(abs(new - old) / spread / math.sqrt(2)) if spread else 1.0
    return Change(
        name=name,
        kind="share",
        reference=old,
        current=new,
        psi=_index(np.array([a, m - a]), np.array([b, n - b])),
        p=p,
        statistic=new - old,
        alarm=abs(new - old) >= SHARE_ALARM and p < alpha,
    )


def psi(reference: Vector, current: Vector, *, bins: int = BINS) -> float:
    """Return the population stability index over bins of equal frequency in the reference.

    A value that many films of the reference have, such as a usual format, is a bin of its own.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    common = [edge for edge in edges if (reference == edge).mean() > 1 / (2 * bins)]
    edges = np.unique(np.concatenate([edges, np.nextafter(common, np.inf)]))
    counts = [
        np.bincount(np.searchsorted(edges, sample, side="right"), minlength=len(edges) + 1)
        for sample in (reference, current)
    ]
    return _index(*counts)


def _index(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> float:
    # Half a film more in each bin, so that an empty one does not give infinity.
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (old, new))
    return float(((q - p) * np.log(q / p)).sum())


def kolmogorov_smirnov(first: Vector, second: Vector) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov statistic and its p-value.

    The p-value is asymptotic with Stephens' correction for small samples (Numerical Recipes,
    section 14.3.3); ties make it conservative.
    """
    a, b = np.sort(first), np.sort(second)
    points = np.concatenate([a, b])
    distance = float(
        np.abs(
            np.searchsorted(a, points, side="right") / len(a)
            - np.searchsorted(b, points, side="right") / len(b)
        ).max()
    )
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.2:
        return distance, 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))
    return distance, min(1.0, max(0.0, 2 * sum(terms)))
