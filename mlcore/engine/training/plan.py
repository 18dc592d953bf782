"""What to build, besides how a network is trained."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from mlcore.engine.training.backend import ONE_DEVICE, Distribution


@dataclass(frozen=True)
class Plan:
    """What to build, besides how a network is trained.

    Attributes:
        name: of the bundle.
        root: folder of bundles.
        population: whom the films show, for the card; see `mlcore.engine.data.population`.
        members: networks to train and average. With two or more, each leaves another block of
            patients out (see `folds.blocks`), and calibration, threshold and abstention rest on
            what each says of the block it left out. With one, on the split's validation side.
        outliers: files of films outside the population, which the scope gate learns to refuse.
        start: a bundle's network whose weights training starts from.
        started_from: that bundle's name.
        distribution: the devices that train. Of several workers, the chief alone does the rest.
    """

    name: str
    root: Path
    population: dict[str, Any] = field(hash=False)
    members: int = 1
    outliers: tuple[Path, ...] = ()
    start: keras.Model | None = None
    started_from: str | None = None
    distribution: Distribution = ONE_DEVICE
