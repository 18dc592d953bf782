"""Where training films come from: prepared for the network, or augmented first."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
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
class Version:
    """One version of every film, with its lungs.

    Attributes:
        films: (n, SIDE, SIDE) uint8, squashed.
        lungs: the lungs on each film.
    """

    films: Films
    lungs: Sequence[Lungs]

    def only(self, chosen: Chosen) -> "Version":
        return Version(self.films[chosen], list(compress(self.lungs, chosen)))

    def arrays(self) -> tuple[npt.NDArray[np.generic], ...]:
        """Return everything that decides the augmented films."""
        masks = np.stack([lungs.mask for lungs in self.lungs])
        return self.films, masks, np.array([lungs.box for lungs in self.lungs])


@dataclass(frozen=True, eq=False)
class LungFilms:
    """Films with their lungs, augmented before preprocessing, so that contrast is normal again.

    Attributes:
        plain: the films as they are, with lungs as they are found in serving.
        size: side of the network's input in pixels.
        spec: the preprocessing.
        corrupted: the same films under a corruption, with lungs found on them; for augmentation.
        drawn: the films with lungs that people drew; for augmentation.
    """

    plain: Version
    size: int
    spec: Preprocessing
    corrupted: Version | None = None
    drawn: Version | None = None

    def prepared(self) -> Films:
        """Return the films without augmentation, as in serving: (n, size, size) uint8."""
        return np.stack(
            [
                lung_box.prepare(film, lungs, size=self.size, spec=self.spec)
                for film, lungs in zip(self.plain.films, self.plain.lungs, strict=True)
            ]
        )

    def augmented(self, place: int, rng: np.random.Generator, spec: Augmentation) -> Films:
        version, size = self._version(rng, spec), self.size
        least, most = (
            lung_finder.radius_of(max(0.0, self.spec.grow + change))
            for change in (-spec.mask_grow, spec.mask_grow)
        )
        lungs = version.lungs[place]
        weight = lung_finder.soften(lungs.mask, int(rng.integers(least, most + 1)))
        left, top, right, bottom = lungs.box
        margins = self.spec.margin + rng.uniform(-spec.box_margin, spec.box_margin, 4)
        x, y = right - left, bottom - top
        box = (
            left - margins[0] * x, top - margins[1] * y,
            right + margins[2] * x, bottom + margins[3] * y,
        )  # fmt: skip
        warp = augment.compose(lung_box.to_box(box, size), augment.warp(size, rng, spec))
        film = lung_box.blanked(version.films[place], weight)
        film, weight = lung_box.cut(film, weight, warp, size)
        film = augment.disturbed(film, rng, spec)
        ready = lung_box.contrast(film, weight, window=self.spec.window)
        if rng.random() < spec.erase:
            augment.erase(ready, rng, level=lung_box.MIDDLE)
        return ready

    def _version(self, rng: np.random.Generator, spec: Augmentation) -> Version:
        which = rng.random()
        if self.corrupted is not None and which < spec.corrupted:
            return self.corrupted
        if self.drawn is not None and which >= 1 - spec.drawn:
            return self.drawn
        return self.plain

    def only(self, chosen: Chosen) -> "LungFilms":
        return replace(
            self,
            plain=self.plain.only(chosen),
            corrupted=self.corrupted and self.corrupted.only(chosen),
            drawn=self.drawn and self.drawn.only(chosen),
        )

    def sha256(self) -> str:
        versions = [found for found in (self.plain, self.corrupted, self.drawn) if found]
        return _digest(*(array for found in versions for array in found.arrays()))


def _digest(*arrays: npt.NDArray[np.generic]) -> str:
    digest = hashlib.sha256(repr([array.shape for array in arrays]).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
