"""What a film that the scope gate refused resembles.

The scope gate says that a film is unlike the validation films, but not why. A linear classifier on
a small image names the most likely cause: an adult's chest X-ray, a rotated film, or a part of one.
It only explains a refusal; it never decides whether a film is in scope.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine.serving.preprocess import Preprocessing, prepare_bytes

FILE = Path(__file__).with_name("resemblance.json")
SIZE = 32
# "inside" and "other" give no cause: the film resembles the population, or none of the classes.
CLASSES = ("inside", "adult", "rotated", "cropped", "other")
EXPOSURES = ("too_dark", "too_bright")
CAUSES = ("adult", "rotated", "cropped", *EXPOSURES)
# Grey levels. Of 3,000 chest films of children and adults, one or none is that dark or bright.
DARK, BRIGHT = 48, 208

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resemblance:
    """A multinomial logistic regression on films of `SIZE` pixels.

    Attributes:
        weights: (SIZE * SIZE, classes) weights of the pixels, as `features` returns them.
        bias: (classes,) intercepts.
        least: probability below which no cause is named.
    """

    weights: Vector
    bias: Vector
    least: float

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Resemblance":
        """Read what `to_json` wrote.

        Raises:
            ValueError: the classes or the shape are not those of this version of the code.
        """
        weights = np.asarray(entry["weights"], np.float64)
        if tuple(entry["classes"]) != CLASSES or weights.shape != (SIZE * SIZE, len(CLASSES)):
            raise ValueError(
                f"Expected the classes {CLASSES} and {SIZE * SIZE} rows of weights. "
                f"Received: {entry['classes']}, shape {weights.shape}."
            )
        return cls(weights, np.asarray(entry["bias"], np.float64), float(entry["least"]))

    def to_json(self) -> dict[str, Any]:
        """Return the classifier as JSON values; weights are rounded to five digits."""
        return {
            "classes": list(CLASSES),
            "least": self.least,
            "bias": np.round(self.bias, 5).tolist(),
            "weights": np.round(self.weights, 5).tolist(),
        }

    def probabilities(self, features: Vector) -> Vector:
        """Return (n, classes) probabilities of (n, SIZE * SIZE) features."""
        odds = features @ self.weights + self.bias
        odds -= odds.max(axis=1, keepdims=True)
        raised = np.exp(odds)
        return raised / raised.sum(axis=1, keepdims=True)

    def cause(
        self, pixels: npt.NDArray[np.uint8], squashed: npt.NDArray[np.uint8] | None = None
    ) -> str:
        """Return what a refused film resembles.

        Args:
            pixels: (H, W) uint8, higher is whiter.
            squashed: the film after `preprocess.squash`, if it has been squashed already.

        Returns:
            One of `CAUSES`, or "" if none is likely enough.
        """
        dark, bright = quantiles(pixels, 0.9, 0.1)
        if dark < DARK:
            return "too_dark"
        if bright > BRIGHT:
            return "too_bright"
        if squashed is None or len(squashed) != Preprocessing().squash:
            squashed = pixels
        found = self.probabilities(features(squashed)[np.newaxis])[0]
        name = CLASSES[int(found.argmax())]
        return name if name in CAUSES and found.max() >= self.least else ""


def quantiles(pixels: npt.NDArray[np.uint8], *shares: float) -> list[float]:
    """Return the grey levels that `np.quantile` gives, a tenth of its time for a whole film."""
    counts = np.cumsum(Image.fromarray(pixels).histogram())
    found = []
    for share in shares:
        place = share * (pixels.size - 1)
        below, above = np.searchsorted(counts, [np.floor(place), np.ceil(place)], side="right")
        found.append(float(below + (above - below) * (place - np.floor(place))))
    return found


def features(pixels: npt.NDArray[np.uint8]) -> Vector:
    """Return a film's (SIZE * SIZE,) local contrast, about -1 to 1."""
    small = prepare_bytes(pixels, size=SIZE, spec=Preprocessing())
    return (small.astype(np.float64).ravel() - 128) / 127


@lru_cache(maxsize=1)
def shipped() -> Resemblance:
    """Return the classifier that this version ships."""
    return Resemblance.from_json(json.loads(FILE.read_text()))
