"""Where training films come from: prepared for the network, or augmented first."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlcore.engine.serving import lung_box
from mlcore.engine.serving import lungs as lung_finder
from mlcore.engine.serving.lungs import Lungs
from mlcore.engine.serving.preprocess import Preprocessing
from mlcore.engine.training import augment
from mlcore.engine.training.augment import Augmentation

Films = npt.NDArray[np.uint8]
Chosen = npt.NDArray[np.bool_]


class Source(Protocol):
    """Films that can be augmented."""

    def augmented(self, place: int, rng: np.random.Generator, spec: Augmentation) -> Films:
        """Return film number `place`, augmented and prepared: (size, size) uint8."""

    def only(self, chosen: Chosen) -> "Source":
        """Return the films that `chosen` (n,) marks."""

    def sha256(self) -> str:
        """Return the hash of everything that decides the augmented films."""


@dataclass(frozen=True, eq=False)
class PreparedFilms:
    """Whole films, augmented after preprocessing.

    Attributes:
        films: (n, size, size) uint8, from `prepare_bytes`.
    """

    films: Films

    def augmented(self, place: int, rng: np.random.Generator, spec: Augmentation) -> Films:
        donor = self.films[rng.integers(len(self.films))]
        return augment.augment(self.films[place], donor=donor, rng=rng, spec=spec)

    def only(self, chosen: Chosen) -> "PreparedFilms":
        return PreparedFilms(self.films[chosen])

    def sha256(self) -> str:
        return _digest(self.films)


@dataclass(frozen=True, eq=False)
class LungFilms:
    """Films with their lungs, augmented before preprocessing, so that contrast is normal again.

    Attributes:
        films: (n, SIDE, SIDE) uint8, blank outside the lungs.
        weights: (n, SIDE, SIDE) uint8, from `lungs.weights`.
        boxes: (n, 4) float, the lungs with their margin.
        size: side of the network's input in pixels.
        window: see `lung_box.contrast`.
    """

    films: Films
    weights: Films
    boxes: npt.NDArray[np.float64]
    size: int
    window: float

    @classmethod
    def of(
        cls, films: Films, found: Sequence[Lungs], *, size: int, spec: Preprocessing
    ) -> "LungFilms":
        """Combine (n, SIDE, SIDE) squashed films with their lungs."""
        weights = np.stack([lung_finder.weights(lungs, grow=spec.grow) for lungs in found])
        blank = np.stack([lung_box.blanked(*pair) for pair in zip(films, weights, strict=True)])
        boxes = np.array([lung_finder.expand(lungs.box, spec.margin) for lungs in found])
        return cls(blank, weights, boxes, size, spec.window)

    def prepared(self) -> Films:
        """Return the films without augmentation, as in serving: (n, size, size) uint8."""
        return np.stack(
            [
                lung_box.contrast(
                    *lung_box.cut(film, weight, lung_box.to_box(tuple(box), self.size), self.size),
                    window=self.window,
                )
                for film, weight, box in zip(self.films, self.weights, self.boxes, strict=True)
            ]
        )

    def augmented(self, place: int, rng: np.random.Generator, spec: Augmentation) -> Films:
        box, size = self.boxes[place], self.size
        warp = augment.compose(lung_box.to_box(tuple(box), size), augment.warp(size, rng, spec))
        film, weight = lung_box.cut(self.films[place], self.weights[place], warp, size)
        film = augment.disturbed(film, rng, spec)
        ready = lung_box.contrast(film, weight, window=self.window)
        if rng.random() < spec.erase:
            augment.erase(ready, rng, level=lung_box.MIDDLE)
        return ready

    def only(self, chosen: Chosen) -> "LungFilms":
        return LungFilms(
            self.films[chosen], self.weights[chosen], self.boxes[chosen], self.size, self.window
        )

    def sha256(self) -> str:
        return _digest(self.films, self.weights, self.boxes)


def _digest(*arrays: npt.NDArray[np.generic]) -> str:
    digest = hashlib.sha256(repr([array.shape for array in arrays]).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
