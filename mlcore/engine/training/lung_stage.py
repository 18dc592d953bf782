"""Finding the lungs of the training films, with networks that were not trained on them.

In serving, the network finds lungs on films it was not trained on. So the films that the reading
networks are trained on get theirs from networks that left them out too. Importing this module
imports Keras.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.data import folds, masks
from mlcore.engine.data.dataset import FilmRecord
from mlcore.engine.evaluation.lung_masks import agreement
from mlcore.engine.serving import lungs as lung_finder
from mlcore.engine.serving.lungs import SIDE, Lungs
from mlcore.engine.training import segmentation
from mlcore.engine.training.segmentation import MaskedFilms

Films = npt.NDArray[np.uint8]

FOLDS = 2


@dataclass(frozen=True, eq=False)
class FoundLungs:
    """The lungs of n films.

    Attributes:
        finder: the network trained on all of them, for serving.
        plain: the lungs on each film, found by a network that was not trained on it.
        corrupted: the same under the film's random corruption.
        drawn: the lungs that people drew; those found where the mask shows none.
        agreement: of `plain` with the masks; see `lung_masks.agreement`.
    """

    finder: keras.Model
    plain: list[Lungs]
    corrupted: list[Lungs]
    drawn: list[Lungs]
    agreement: dict[str, Any]


def find_all(
    folder: Path,
    records: list[FilmRecord],
    films: Films,
    corrupted: Films,
    *,
    epochs: int,
    seed: int,
    state_folder: Path,
    on_stage: Callable[[str], None],
) -> FoundLungs:
    """Train networks that find lungs, one per fold and one on all films, and apply them.

    Each trained network is saved, so that an interrupted run continues with the next.

    Args:
        folder: the masks.
        records: n films.
        films: (n, SIDE, SIDE) uint8, squashed.
        corrupted: the same films under a random corruption.
        epochs: passes over the films.
        seed: seed of the training.
        state_folder: where to save the networks.
        on_stage: called with a short description of each epoch.

    Raises:
        DatasetError: there are no masks.
        ValueError: there are too few patients for the folds.
    """
    drawn = masks.read(folder, records, side=SIDE)
    data = MaskedFilms(films, drawn)
    usable = masks.have_lungs(drawn)
    fold = folds.blocks(records, FOLDS)
    plain: list[Any] = [None] * len(records)
    changed: list[Any] = [None] * len(records)
    networks = []
    for number in range(FOLDS + 1):
        network = _trained(
            data.only(usable & (fold != number)),
            state_folder / f"finder-{number + 1}.keras",
            epochs=epochs,
            seed=seed + number,
            on_stage=on_stage,
            name=f"lung network {number + 1} of {FOLDS + 1}",
        )
        networks.append(network)
        held = np.flatnonzero(fold == number)
        for kept, source in ((plain, films), (changed, corrupted)):
            for place, found in zip(held.tolist(), apply(network, source[held]), strict=True):
                kept[place] = found
    by_people = [
        _drawn_lungs(mask) if is_usable else lungs
        for mask, is_usable, lungs in zip(drawn, usable, plain, strict=True)
    ]
    return FoundLungs(networks[-1], plain, changed, by_people, agreement(plain, drawn))


def _drawn_lungs(mask: Films) -> Lungs:
    lung = np.where(masks.lung(mask), 255, 0).astype(np.uint8)
    return Lungs(lung, lung_finder.bounding_box(lung), ())


def apply(network: keras.Model, films: Films) -> list[Lungs]:
    """Find the lungs on (n, SIDE, SIDE) squashed films."""
    if not len(films):
        return []
    probability = segmentation.probabilities(network, films)
    return [lung_finder.find(*pair) for pair in zip(probability, films, strict=True)]


def _trained(
    data: MaskedFilms,
    path: Path,
    *,
    epochs: int,
    seed: int,
    on_stage: Callable[[str], None],
    name: str,
) -> keras.Model:
    if path.is_file():
        on_stage(f"{name}: trained in an earlier run")
        return keras.saving.load_model(path, compile=False)
    on_stage(f"training {name} on {len(data.films)} films")
    network = segmentation.train(
        data,
        epochs=epochs,
        seed=seed,
        on_epoch=lambda epoch, loss: on_stage(
            f"{name}: epoch {epoch} of {epochs}, loss {loss:.4f}"
        ),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"part-{path.name}")
    network.save(part)
    part.rename(path)
    # Without the optimizer's state, which would take three quarters of the bundle's file.
    return keras.saving.load_model(path, compile=False)
