"""Preprocessing of a film for the network, the same in training and serving."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

EQUALISE = "squash-equalise-1"
LOCAL_CONTRAST = "squash-local-contrast-1"
LUNG_BOX = "lung-box-local-contrast-1"
# Local contrast: the level of the neighbourhood's mean, and the levels of a standard deviation.
MIDDLE, PER_DEVIATION = 128, 51
# Added to the local variance, so that noise of 1 % of white is not amplified to the full range.
SPREAD_FLOOR = 1e-4
# The parameters of each algorithm; a card contains exactly these.
_PARAMETERS = {
    EQUALISE: ("squash", "histogram_margin"),
    LOCAL_CONTRAST: ("squash", "window"),
    LUNG_BOX: ("squash", "window", "margin", "grow"),
}


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a model, stored on its card.

    Attributes:
        id: the algorithm: EQUALISE, LOCAL_CONTRAST, or LUNG_BOX, which reads the lungs only (see
            `lung_box`). A new id is introduced whenever the same parameters give different numbers;
            old ones stay supported, so that readings can be replayed.
        squash: side in pixels to which a film is resized first, ignoring its aspect ratio, like
            the training films.
        histogram_margin: EQUALISE only. Fraction of each side excluded from the histogram.
        window: LOCAL_CONTRAST and LUNG_BOX. Standard deviation of the Gaussian neighbourhood, as a
            fraction of the side.
        margin: LUNG_BOX only. Margin around the lungs, as a fraction of their width and height.
        grow: LUNG_BOX only. Distance from the lungs from which pixels do not count, as a fraction
            of the film's side.
    """

    id: str = LOCAL_CONTRAST
    squash: int = 224
    histogram_margin: float = 0.0
    window: float = 0.15
    margin: float = 0.08
    grow: float = 0.03

    @property
    def reads_lungs(self) -> bool:
        """Whether the network sees the lungs only."""
        return self.id == LUNG_BOX

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of this algorithm, for the card."""
        values = asdict(self)
        return {name: values[name] for name in _PARAMETERS[self.id]}

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> "Preprocessing":
        """Read `card["preprocessing"]`.

        Raises:
            ValueError: this version of the code does not support the algorithm.
        """
        if entry.get("id") not in _PARAMETERS:
            raise ValueError(
                f"Unknown preprocessing. Received: {entry.get('id')!r}. "
                f"Supported: {', '.join(sorted(_PARAMETERS))}."
            )
        return cls(id=entry["id"], **entry["parameters"])


def prepare(pixels: np.ndarray, *, size: int, spec: Preprocessing) -> np.ndarray:
    """Preprocess a whole film for the network; see `lung_box.prepare` for LUNG_BOX.

    Args:
        pixels: (H, W) uint8, higher is whiter.
        size: side of the network's input in pixels.
        spec: algorithm and parameters.

    Returns:
        (size, size, 1) float32 in [0, 1], in steps of 1/255.

    Raises:
        ValueError: `pixels` is not a two-dimensional uint8 array.
    """
    return as_input(prepare_bytes(pixels, size=size, spec=spec))


def prepare_bytes(pixels: np.ndarray, *, size: int, spec: Preprocessing) -> np.ndarray:
    """Preprocess like `prepare`, but return (size, size) uint8, a quarter of the memory."""
    squashed = resize(squash(pixels, spec), size)
    if spec.id == EQUALISE:
        return equalise(squashed, margin=spec.histogram_margin)
    return local_contrast(squashed, window=spec.window)


def squash(pixels: np.ndarray, spec: Preprocessing) -> np.ndarray:
    """Return a film resized to the square from which all algorithms start.

    Raises:
        ValueError: `pixels` is not a two-dimensional uint8 array.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(
            f"Expected a (H, W) uint8 film. Received: shape {pixels.shape}, {pixels.dtype}."
        )
    return resize(pixels, spec.squash)


def as_input(film: np.ndarray) -> np.ndarray:
    """Convert (..., size, size) uint8 to (..., size, size, 1) float32 in [0, 1]."""
    return (film.astype(np.float32) / np.float32(255))[..., np.newaxis]


def equalise(film: np.ndarray, *, margin: float = 0.0) -> np.ndarray:
    """Equalise the histogram: each grey level becomes its mid-rank among the counted pixels.

    Args:
        film: (H, W) uint8.
        margin: fraction of each side excluded from the histogram, in [0, 0.4].

    Returns:
        (H, W) uint8. A constant film becomes mid-grey.
    """
    if not 0 <= margin <= 0.4:
        raise ValueError(f"margin must be in [0, 0.4]. Received: {margin}.")
    rows, columns = (round(side * margin) for side in film.shape)
    counted = film[rows : film.shape[0] - rows, columns : film.shape[1] - columns]
    counts = np.bincount(counted.ravel(), minlength=256)
    rank = (np.cumsum(counts) - counts / 2) / counted.size
    return np.rint(255 * rank).astype(np.uint8)[film]


def local_contrast(film: np.ndarray, *, window: float = 0.15) -> np.ndarray:
    """Normalise each pixel by the mean and standard deviation of its neighbourhood.

    Removes the slowly varying effects of exposure, collimation and body thickness; ribs, vessels
    and opacities stay. A local version of divisive normalisation (Jarrett et al. 2009).

    Args:
        film: (n, n) uint8.
        window: standard deviation of the Gaussian neighbourhood, as a fraction of the side.

    Returns:
        (n, n) uint8: 128 is the neighbourhood's mean and 51 levels are one standard deviation,
        clipped at 2.5 standard deviations. A constant film becomes mid-grey.
    """
    if window <= 0:
        raise ValueError(f"window must be positive. Received: {window}.")
    weights = gaussian_weights(film.shape[0], round(window * film.shape[0], 6))
    light = film.astype(np.float64) / 255
    residue = light - weights @ light @ weights.T
    spread = np.sqrt(weights @ (residue * residue) @ weights.T + SPREAD_FLOOR)
    # The middle is an integer, so that rounding errors do not affect flat regions.
    return np.clip(np.rint(MIDDLE + PER_DEVIATION * residue / spread), 0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def gaussian_weights(side: int, deviation: float) -> np.ndarray:
    """Return a (side, side) matrix of Gaussian weights whose rows sum to 1."""
    place = np.arange(side, dtype=np.float64)
    weights = np.exp(-((place[:, np.newaxis] - place) ** 2) / (2 * deviation**2))
    return weights / weights.sum(axis=1, keepdims=True)


def resize(film: np.ndarray, size: int) -> np.ndarray:
    """Resize a film to (size, size) pixels, ignoring its aspect ratio."""
    if film.shape == (size, size):
        return film
    return np.asarray(Image.fromarray(film).resize((size, size), Image.Resampling.BICUBIC))
