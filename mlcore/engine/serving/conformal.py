"""Three answers instead of two: when to say UNSURE, by split-conformal prediction.

Each label has its own quantile (Vovk's Mondrian form), so the promise holds among the sick and
among the well, not only on average: of films like those it was fitted on, at least `coverage` of
either label are not called the other.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

COVERAGE = 0.98
METHOD = "split-conformal, a quantile for each label (Mondrian), on the calibrated probability"


@dataclass(frozen=True)
class Abstention:
    """Where the model does not decide.

    Attributes:
        coverage: share of each label's films that are promised not to be called the other.
        lower: probability of PNEUMONIA below which the answer is NORMAL.
        upper: probability of PNEUMONIA from which the answer is PNEUMONIA.
    """

    coverage: float
    lower: float
    upper: float

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "Abstention | None":
        """Read a card's `conformal`; None for a model that always decides."""
        entry = card.get("conformal")
        return cls(entry["coverage"], entry["lower"], entry["upper"]) if entry else None

    def is_unsure(self, probability: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Probabilities of PNEUMONIA of any shape -> whether the model does not decide."""
        p = np.asarray(probability)
        return (p >= self.lower) & (p < self.upper)


def quantile(scores: npt.ArrayLike, coverage: float) -> float:
    """Return the conformal quantile of (n,) nonconformity scores.

    The ceil((n + 1) coverage)-th smallest, which at least `coverage` of exchangeable new scores do
    not exceed; infinity where n is too small to promise that.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    # Rounded first: 0.97 * 100 must not become 97.00000000000001 and so 98.
    rank = math.ceil(round((len(ordered) + 1) * coverage, 9))
    return math.inf if rank > len(ordered) else float(ordered[rank - 1])


def fit(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    threshold: float,
    coverage: float = COVERAGE,
) -> Abstention:
    """Fit the band in which the model is UNSURE.

    A label belongs to the prediction set where its probability is at least one minus its
    quantile. One label in the set is an answer; both or none is UNSURE. The band is widened to
    the threshold where it lies beside it, so that no answer contradicts the threshold; that only
    turns answers into UNSURE.

    Args:
        labels: (n,) 0 or 1, both present.
        probabilities: (n,) of PNEUMONIA, calibrated.
        threshold: probability from which a film counts as PNEUMONIA.
        coverage: in (0, 1).

    Raises:
        ValueError: a label is missing, or `coverage` is no share.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"The coverage must lie between 0 and 1. Received: {coverage}.")
    labels, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    if len(np.unique(labels)) != 2:
        raise ValueError("Abstention is fitted on films of both labels.")
    # NORMAL is in the set up to `highest`, PNEUMONIA from `lowest` on.
    highest = min(1.0, quantile(p[labels == 0], coverage))
    lowest = max(0.0, 1 - quantile(1 - p[labels == 1], coverage))
    # At `highest` itself NORMAL still belongs to the set, just above it no longer.
    beyond = float(np.nextafter(highest, 2))
    lower, upper = min(beyond, lowest, threshold), max(beyond, lowest, threshold)
    return Abstention(coverage=coverage, lower=lower, upper=upper)
