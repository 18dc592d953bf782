"""The rule of decision: from a calibrated probability to one of three results.

There is one rule, for the page that a doctor sees, the report, the commands and every figure that
describes them. The `threshold` on a card ranks films (accuracy, sensitivity, specificity at one
point of the ROC curve) and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Part of stored readings and evaluations: a rule that decides otherwise gets another name.
RULE = "three-valued-1"
UNSURE = "UNSURE"


@dataclass(frozen=True)
class DecisionRule:
    """NORMAL below `lower`, PNEUMONIA from `upper`, UNSURE in between.

    Attributes:
        lower: probability of PNEUMONIA below which the result is the negative label. At 0, no film
            is called negative.
        upper: probability of PNEUMONIA from which the result is the positive label. Above 1, no
            film is called positive.
        labels: the negative and the positive label.
    """

    lower: float
    upper: float
    labels: tuple[str, str] = ("NORMAL", "PNEUMONIA")

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "DecisionRule":
        """Read a card; without `conformal`, both limits are the threshold: it never abstains.

        Raises:
            ValueError: the lower limit is above the upper one.
        """
        band = card.get("conformal")
        threshold = card["threshold"]["value"]
        lower, upper = (band["lower"], band["upper"]) if band else (threshold, threshold)
        if not lower <= upper:
            raise ValueError(
                f"The lower limit of the decision rule must not be above the upper one. "
                f"Received: {lower} and {upper}."
            )
        negative, positive = card["labels"]
        return cls(float(lower), float(upper), (negative, positive))

    @property
    def results(self) -> tuple[str, str, str]:
        """The three results, from the highest probability to the lowest."""
        return self.labels[1], UNSURE, self.labels[0]

    def result(self, probability: float) -> str:
        """Return the result for one probability of PNEUMONIA."""
        positive, unsure, negative = self.results
        if probability >= self.upper:
            return positive
        return unsure if probability >= self.lower else negative

    def results_of(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """Return the (n,) results for (n,) probabilities of PNEUMONIA."""
        p = np.asarray(probabilities, np.float64)
        positive, unsure, negative = self.results
        return np.where(p >= self.upper, positive, np.where(p >= self.lower, unsure, negative))
