"""What a bundle consists of."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from mlcore.engine.training.backend import ONE_DEVICE, Distribution


@dataclass(frozen=True)
class Plan:
    """The bundle to build, apart from the training options.

    Attributes:
        name: name of the bundle.
        root: folder of bundles.
        population: the patients, for the card; see `mlcore.engine.data.population`.
        members: number of ensemble members. Two or more leave out different blocks of patients
            (see `folds.blocks`); calibration, threshold and abstention use the out-of-fold
            predictions. A single member uses the validation split.
        outliers: folders of films outside the population, one per source, for training the scope
            gate.
        masks: folder of lung masks, see `data.masks`; the model then reads the lungs only.
        external: folder with class folders of films of another origin; no network is trained on
            them, but calibration, threshold and abstention are fitted to them too.
        start: network of a bundle whose weights training starts from.
        started_from: name of that bundle.
        distribution: the devices to train on; of several workers, only the chief writes.
    """

    name: str
    root: Path
    population: dict[str, Any] = field(hash=False)
    members: int = 1
    outliers: tuple[Path, ...] = ()
    masks: Path | None = None
    external: Path | None = None
    start: keras.Model | None = None
    started_from: str | None = None
    distribution: Distribution = ONE_DEVICE

    @property
    def state_folder(self) -> Path:
        """Where unfinished training is saved, to be resumed."""
        return self.root / f".training-{self.name}"
