"""A film's pixels -> the network's input: one function for training and serving alike."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

PREPROCESSING_ID = "squash-equalise-1"


@dataclass(frozen=True)
class Preprocessing:
    """What `prepare` does beyond its id; kept on the model's card.

    Attributes:
        id: names the algorithm. It changes whenever the same parameters give other numbers.
        squash: side in pixels to which a film is squashed first, its aspect ignored, as the
            training films came.
        histogram_margin: share of the film left out at each side when the grey levels are
            counted, so that collimation and burned-in markers do not decide the contrast of the
            lungs. 0 counts the whole film.
    """

    id: str = PREPROCESSING_ID
    squash: int = 224
    histogram_margin: float = 0.0

    def parameters(self) -> dict[str, Any]:
        """Returns every field but the id, for the card."""
        values = asdict(self)
        del values["id"]
        return values

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> "Preprocessing":
        """Reads `card["preprocessing"]`.

        Raises:
            ValueError: the card names an algorithm this version of the code does not have.
        """
        if entry.get("id") != PREPROCESSING_ID:
            raise ValueError(
                f"Unknown preprocessing {entry.get('id')!r}; this code has {PREPROCESSING_ID!r}."
            )
        return cls(id=entry["id"], **entry["parameters"])


def prepare(pixels: np.ndarray, *, size: int, spec: Preprocessing) -> np.ndarray:
    """Turns a film into the network's input.

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
    return equalise(squashed, margin=spec.histogram_margin)


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


def _resize(film: np.ndarray, size: int) -> np.ndarray:
    if film.shape == (size, size):
        return film
    return np.asarray(Image.fromarray(film).resize((size, size), Image.Resampling.BICUBIC))
