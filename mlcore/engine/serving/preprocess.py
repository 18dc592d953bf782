"""A film's pixels -> the network's input: one function for training and serving alike."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

EQUALISE = "squash-equalise-1"
LOCAL_CONTRAST = "squash-local-contrast-1"
# Of the square of the local deviation: grain of a hundredth of white is not made to fill the range.
_SPREAD_FLOOR = 1e-4
# The parameters that each algorithm reads; a card names these and no others.
_PARAMETERS = {EQUALISE: ("squash", "histogram_margin"), LOCAL_CONTRAST: ("squash", "window")}


@dataclass(frozen=True)
class Preprocessing:
    """How `prepare` turns a film into the network's input; kept on the model's card.

    Attributes:
        id: names the algorithm, EQUALISE or LOCAL_CONTRAST. It changes whenever the same
            parameters give other numbers, and an old one stays readable: stored readings replay.
        squash: side in pixels to which a film is squashed first, its aspect ignored, as the
            training films came.
        histogram_margin: of EQUALISE. Share of the film left out at each side when the grey
            levels are counted.
        window: of LOCAL_CONTRAST. Standard deviation of the Gaussian neighbourhood against which
            each pixel is measured, as a share of the side.
    """

    id: str = LOCAL_CONTRAST
    squash: int = 224
    histogram_margin: float = 0.0
    window: float = 0.15

    def parameters(self) -> dict[str, Any]:
        """Return the fields that this algorithm reads, for the card."""
        values = asdict(self)
        return {name: values[name] for name in _PARAMETERS[self.id]}

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> "Preprocessing":
        """Read `card["preprocessing"]`.

        Raises:
            ValueError: the card names an algorithm this version of the code does not have.
        """
        if entry.get("id") not in _PARAMETERS:
            raise ValueError(
                f"Unknown preprocessing {entry.get('id')!r}; this code has "
                f"{', '.join(sorted(_PARAMETERS))}."
            )
        return cls(id=entry["id"], **entry["parameters"])


def prepare(pixels: np.ndarray, *, size: int, spec: Preprocessing) -> np.ndarray:
    """Turn a film into the network's input.

    Args:
        pixels: (H, W) uint8, higher is whiter.
        size: side of the network's input in pixels.
        spec: what to do.

    Returns:
        (size, size, 1) float32 in [0, 1], in steps of 1/255.

    Raises:
        ValueError: `pixels` is not a two-dimensional uint8 array.
    """
    return as_input(prepare_bytes(pixels, size=size, spec=spec))


def prepare_bytes(pixels: np.ndarray, *, size: int, spec: Preprocessing) -> np.ndarray:
    """As `prepare`, but (size, size) uint8: a quarter of the memory for a training set."""
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(
            f"Expected a (H, W) uint8 film. Received: shape {pixels.shape}, {pixels.dtype}."
        )
    squashed = _resize(_resize(pixels, spec.squash), size)
    if spec.id == EQUALISE:
        return equalise(squashed, margin=spec.histogram_margin)
    return local_contrast(squashed, window=spec.window)


def as_input(film: np.ndarray) -> np.ndarray:
    """(..., size, size) uint8 -> (..., size, size, 1) float32 in [0, 1]."""
    return (film.astype(np.float32) / np.float32(255))[..., np.newaxis]


def equalise(film: np.ndarray, *, margin: float = 0.0) -> np.ndarray:
    """Equalises the histogram: each grey level becomes its mid-rank among the counted pixels.

    Args:
        film: (H, W) uint8.
        margin: share of the film left out of the count at each side, in [0, 0.4].

    Returns:
        (H, W) uint8. A film of one grey level becomes mid-grey.
    """
    if not 0 <= margin <= 0.4:
        raise ValueError(f"The margin must lie in [0, 0.4]. Received: {margin}.")
    rows, columns = (round(side * margin) for side in film.shape)
    counted = film[rows : film.shape[0] - rows, columns : film.shape[1] - columns]
    counts = np.bincount(counted.ravel(), minlength=256)
    rank = (np.cumsum(counts) - counts / 2) / counted.size
    return np.rint(255 * rank).astype(np.uint8)[film]


def local_contrast(film: np.ndarray, *, window: float = 0.15) -> np.ndarray:
    """Measure each pixel in standard deviations of its own neighbourhood.

    What exposure, collimation and the thickness of the body do to a film changes slowly across
    it, and goes; ribs, vessels and opacities stay. A local version of the normalisation that
    divisive models of vision and early convolutional networks used (Jarrett et al. 2009).

    Args:
        film: (n, n) uint8.
        window: standard deviation of the Gaussian neighbourhood, as a share of the side.

    Returns:
        (n, n) uint8: 128 is the neighbourhood's mean, 51 steps are one standard deviation, and
        what lies beyond 2.5 of them is cut. A film of one grey level becomes mid-grey.
    """
    if window <= 0:
        raise ValueError(f"The window must be positive. Received: {window}.")
    weights = _gaussian_weights(film.shape[0], round(window * film.shape[0], 6))
    light = film.astype(np.float64) / 255
    residue = light - weights @ light @ weights.T
    spread = np.sqrt(weights @ (residue * residue) @ weights.T + _SPREAD_FLOOR)
    # The middle is a whole number: rounding error must not decide what a flat region becomes.
    return np.clip(np.rint(128 + 51 * residue / spread), 0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _gaussian_weights(side: int, deviation: float) -> np.ndarray:
    """(side, side) whose rows average a line's pixels about each place; rows sum to 1."""
    place = np.arange(side, dtype=np.float64)
    weights = np.exp(-((place[:, np.newaxis] - place) ** 2) / (2 * deviation**2))
    return weights / weights.sum(axis=1, keepdims=True)


def _resize(film: np.ndarray, size: int) -> np.ndarray:
    if film.shape == (size, size):
        return film
    return np.asarray(Image.fromarray(film).resize((size, size), Image.Resampling.BICUBIC))
