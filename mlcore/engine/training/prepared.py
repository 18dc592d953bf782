"""The films of a training run, prepared for the networks. Importing this module imports Keras."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import LABELS, FilmRecord, scan
from mlcore.engine.serving.preprocess import prepare_bytes
from mlcore.engine.training import groups, lung_stage
from mlcore.engine.training.batches import TrainingSet
from mlcore.engine.training.fitting import External
from mlcore.engine.training.options import Options
from mlcore.engine.training.plan import Plan
from mlcore.engine.training.sources import LungFilms, Version
from mlcore.engine.training.squashed import SquashedFilms
from mlcore.engine.training.training import logits_of

Films = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """The training and validation films of a run.

    Attributes:
        plain: the films as they are, ready for training.
        corrupted: (n, size, size) uint8, the same under a random corruption.
        squashed: (n, side, side) uint8, the whole films.
        finder: the network that finds the lungs, if the model reads them only.
        agreement: of the lungs with the masks; see `lung_masks.agreement`.
    """

    plain: TrainingSet
    corrupted: Films
    squashed: Films
    finder: keras.Model | None = None
    agreement: dict[str, Any] = field(default_factory=dict)


def prepare(
    plan: Plan,
    records: list[FilmRecord],
    films: SquashedFilms,
    options: Options,
    on_stage: Callable[[str], None],
) -> PreparedSet:
    """Prepare films for training, and find their lungs if the model reads them only.

    Raises:
        DatasetError: the masks are missing or cannot be read.
        ValueError: there are too few patients.
    """
    labels = np.array([LABELS.index(record.label) for record in records])
    plain, corrupted = films.of(records), films.of(records, corrupted=True)
    shares = None
    if options.groups:
        on_stage("grouping the films by equipment and framing")
        shares = groups.shares(labels, groups.of(plain, count=options.groups, seed=options.seed))
    if plan.masks is None:
        ready = _whole(plain, options)
        training_set = TrainingSet.of_whole(ready, labels, shares)
        return PreparedSet(training_set, _whole(corrupted, options), plain)
    found = lung_stage.find_all(
        plan.masks,
        records,
        plain,
        corrupted,
        epochs=options.finder_epochs,
        seed=options.seed,
        state_folder=plan.state_folder,
        on_stage=on_stage,
    )
    changed = Version(corrupted, found.corrupted)
    source = replace(
        _boxes(Version(plain, found.plain), options),
        corrupted=changed,
        drawn=Version(plain, found.drawn),
    )
    return PreparedSet(
        TrainingSet(source.prepared(), labels, source, shares),
        _boxes(changed, options).prepared(),
        plain,
        found.finder,
        found.agreement,
    )


def read_external(
    folder: Path, model: keras.Model, prepared: PreparedSet, options: Options
) -> External:
    """Predict films of another origin, which no network was trained on.

    Args:
        folder: a folder with class folders.
        model: all members together.
        prepared: the training films, for the network that finds the lungs.
        options: the training options.

    Raises:
        DatasetError: the folder is not a data set.
    """
    films = SquashedFilms(options.preprocessing)
    records = list(scan(folder, measured=False, on_film=films.add).films)

    def ready(squashed: Films) -> Films:
        if prepared.finder is None:
            return _whole(squashed, options)
        found = lung_stage.apply(prepared.finder, squashed)
        return _boxes(Version(squashed, found), options).prepared()

    plain = ready(films.of(records))
    return External(
        films=films.of(records),
        prepared=plain,
        labels=np.array([LABELS.index(record.label) for record in records]),
        logits=logits_of(model, plain),
        changed_logits=logits_of(model, ready(films.of(records, corrupted=True))),
    )


def _whole(squashed: Films, options: Options) -> Films:
    size, spec = options.image_size, options.preprocessing
    return np.stack([prepare_bytes(film, size=size, spec=spec) for film in squashed])


def _boxes(version: Version, options: Options) -> LungFilms:
    return LungFilms(version, options.image_size, options.preprocessing)
