"""Calibration: from a film's log-odds to its probability.

A network's graph contains the calibration that was fitted when it was trained. A bundle that was
derived from another one for a site has the same network and a calibration of its own: the pipeline
then computes the probability from the activation map, whose mean is the film's log-odds before
calibration (see `Output.activation_map`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def sigmoid(logits: npt.ArrayLike) -> Vector:
    """Convert log-odds to probabilities without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))


@dataclass(frozen=True)
class Calibration:
    """Platt scaling of a network's log-odds (Platt 1999).

    Attributes:
        temperature: divisor of the log-odds; above 1, the network was overconfident.
        bias: added afterwards; compensates for class balancing in training.
    """

    temperature: float
    bias: float

    def probabilities(self, logits: npt.ArrayLike) -> Vector:
        """Return probabilities of PNEUMONIA for log-odds of films or cells."""
        return sigmoid(np.asarray(logits, np.float64) / self.temperature + self.bias)

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> "Calibration":
        """Read `card["calibration"]`."""
        return cls(temperature=entry["temperature"], bias=entry["bias"])

    @classmethod
    def outside_network(cls, card: Mapping[str, Any]) -> "Calibration | None":
        """Return the calibration that replaces the network's own; None for most cards.

        A card with `card["calibration"]["network"]`, the calibration in the network's graph, was
        derived from another one; see `engine.training.site`.
        """
        entry = card["calibration"]
        return cls.from_card(entry) if entry.get("network") else None


def film_log_odds(activation_map: npt.ArrayLike) -> float:
    """Return a film's log-odds before calibration from its (h, w) local log-odds."""
    return float(np.asarray(activation_map, np.float64).mean())
