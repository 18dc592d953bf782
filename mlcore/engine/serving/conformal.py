"""Abstention by split-conformal prediction: when to answer UNSURE.

Each label has its own quantile (Mondrian conformal prediction, Vovk), so that the guarantee holds
for each label and not only on average: of exchangeable films, at least a fraction `coverage` of
either label is not assigned the other one.
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
    """The range of probabilities in which the model abstains.

    Attributes:
        coverage: guaranteed fraction of each label's films that is not assigned the other label.
        lower: probability of PNEUMONIA below which the label is NORMAL.
        upper: probability of PNEUMONIA from which the label is PNEUMONIA.
    """

    coverage: float
    lower: float
    upper: float

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "Abstention | None":
        """Read `card["conformal"]`; None for a model that never abstains."""
        entry = card.get("conformal")
        return cls(entry["coverage"], entry["lower"], entry["upper"]) if entry else None

    def is_unsure(self, probability: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether the model abstains, for probabilities of PNEUMONIA of any shape."""
        p = np.asarray(probability)
        return (p >= self.lower) & (p < self.upper)


def quantile(scores: npt.ArrayLike, coverage: float) -> float:
    """Return the conformal quantile of (n,) nonconformity scores.

    This is the ceil((n + 1) coverage)-th smallest score, which at least a fraction `coverage` of
    exchangeable new scores does not exceed; infinity if n is too small for that.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    # Rounded first, so that 0.97 * 100 = 97.00000000000001 does not become 98.
    rank = math.ceil(round((len(ordered) + 1) * coverage, 9))
    return math.inf if rank > len(ordered) else float(ordered[rank - 1])


def fit(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    threshold: float,
    coverage: float = COVERAGE,
) -> Abstention:
    """Fit the band of probabilities in which the model abstains.

    A label belongs to the prediction set if its probability is at least one minus its quantile. A
    set with one label is an answer; with both or none the model abstains. The band is extended to
    the threshold if it does not contain it, so that no answer contradicts the threshold.

    Args:
        labels: (n,) 0 or 1, both present.
        probabilities: (n,) calibrated probabilities of PNEUMONIA.
        threshold: probability from which a film counts as PNEUMONIA.
        coverage: in (0, 1).

    Raises:
        ValueError: a label is missing, or `coverage` is outside (0, 1).
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be between 0 and 1. Received: {coverage}.")
    labels, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    if len(np.unique(labels)) != 2:
        raise ValueError("Abstention needs films of both labels.")
    # NORMAL is in the set up to `highest`, PNEUMONIA from `lowest`.
    highest = min(1.0, quantile(p[labels == 0], coverage))
    lowest = max(0.0, 1 - quantile(1 - p[labels == 1], coverage))
    # NORMAL still belongs to the set at `highest`, but no longer just above it.
    beyond = float(np.nextafter(highest, 2))
    lower, upper = min(beyond, lowest, threshold), max(beyond, lowest, threshold)
    return Abstention(coverage=coverage, lower=lower, upper=upper)
