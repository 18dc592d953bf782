"""What is fitted after training, on films that the network asked did not learn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import FilmRecord, identify
from mlcore.engine.evaluation import lungs
from mlcore.engine.films.film import FilmError, read_film
from mlcore.engine.serving import conformal
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.preprocess import prepare_bytes
from mlcore.engine.training import scope
from mlcore.engine.training.augment import augment
from mlcore.engine.training.calibration import Calibration, choose_threshold
from mlcore.engine.training.calibration import fit as fit_calibration
from mlcore.engine.training.training import Options, TrainingSet, outputs_of

Vector = npt.NDArray[Any]
# Films whose descriptors, changed as in training, give the distance its form.
DISTANCE_FILMS = 3000
# Share of the patients outside the population that the gate does not learn from.
OUTLIERS_HELD = 0.3


@dataclass(frozen=True, eq=False)
class Development:
    """The films that are not held out, and what a network that had not seen each says of it.

    Attributes:
        records: n films.
        data: their prepared pixels and labels.
        judged: (n,) whether `logits` and `evidence` hold an answer.
        unseen: (n,) films that the first network did not learn from.
        logits: (n,) log-odds, NaN where not judged.
        changed_logits: (n,) of the same films, each under some corruption.
        evidence: (n, h, w) local log-odds.
    """

    records: list[FilmRecord]
    data: TrainingSet
    judged: npt.NDArray[np.bool_]
    unseen: npt.NDArray[np.bool_]
    logits: Vector
    changed_logits: Vector
    evidence: Vector

    def clean_and_changed(self) -> tuple[Vector, Vector]:
        """Returns labels and log-odds (2 m,) of the judged films, as they are and changed."""
        labels = self.data.labels[self.judged]
        logits = [self.logits[self.judged], self.changed_logits[self.judged]]
        return np.tile(labels, 2), np.concatenate(logits)


@dataclass(frozen=True, eq=False)
class Outsiders:
    """Films outside the population: prepared, and parted by patient.

    Attributes:
        learnt: (m, size, size) uint8.
        held: (k, size, size) uint8, to measure on.
    """

    learnt: npt.NDArray[np.uint8]
    held: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Calibration, threshold, abstention, scope gate and what a clear film's map looks like.

    `first` is the first member, whose descriptor the gate measures.
    """

    first: keras.Model
    calibration: Calibration
    threshold: float
    abstention: Abstention
    gate: scope.Gate
    reference: Reference
    outsiders: Outsiders
    lung_field: npt.NDArray[np.bool_] | None


def fit(
    first: keras.Model,
    development: Development,
    options: Options,
    *,
    outliers: Sequence[Path],
    on_stage: Callable[[str], None],
) -> Fitted:
    """Fits everything that a served network needs besides its weights.

    Args:
        first: the first member, whose descriptor the gate measures.
    """
    judged, labels = development.judged, development.data.labels
    calibration = fit_calibration(labels[judged], development.logits[judged])
    # Chosen on films as other machines send them too: most changes push NORMAL films upwards,
    # and a threshold that only clean films chose would call too many of them.
    both_labels, both_logits = development.clean_and_changed()
    cut = choose_threshold(both_labels, both_logits, seed=options.seed)
    threshold = float(calibration.probabilities(cut))
    on_stage("training the scope gate")
    outsiders = read_outsiders(outliers, options)
    return Fitted(
        first=first,
        calibration=calibration,
        threshold=threshold,
        abstention=conformal.fit(
            both_labels, calibration.probabilities(both_logits), threshold=threshold
        ),
        gate=_gate(first, development, options, outsiders),
        reference=Reference.fit(development.evidence[judged & (labels == 0)]),
        outsiders=outsiders,
        lung_field=_lung_field(development, options),
    )


def _gate(
    first: keras.Model, development: Development, options: Options, outsiders: Outsiders
) -> scope.Gate:
    films, labels = development.data.films, development.data.labels
    learnt = np.flatnonzero(~development.unseen)
    rng = np.random.default_rng([options.seed, 11])
    chosen = rng.permutation(learnt)[:DISTANCE_FILMS]
    # Changed as in training: grain, a turned film or a frame is not what makes one foreign.
    changed = np.stack(
        [
            augment(films[i], donor=films[rng.choice(learnt)], rng=rng, spec=options.augmentation)
            for i in chosen
        ]
    )
    distance = scope.Distance.fit(outputs_of(first, changed)["descriptor"], labels[chosen])
    network = scope.train_outside_network(
        scope.OutsideTraining(
            films[learnt],
            outsiders.learnt,
            options.preprocessing,
            options.augmentation,
            options.seed,
        ),
        epochs=scope.EPOCHS,
    )
    unseen = films[development.unseen]
    return scope.Gate.fit(distance, network, outputs_of(first, unseen)["descriptor"], unseen)


def read_outsiders(paths: Sequence[Path], options: Options) -> Outsiders:
    """Reads and prepares films outside the population; unreadable files are passed over.

    The patients (see `dataset.identify`) are parted by the seed.
    """
    films, patients = [], []
    for path in paths:
        try:
            pixels = read_film(path.read_bytes()).pixels
        except FilmError:
            continue
        films.append(prepare_bytes(pixels, size=options.image_size, spec=options.preprocessing))
        patients.append(identify(path.stem)[0])
    names = np.array(sorted(set(patients)))
    order = np.random.default_rng([options.seed, 13]).permutation(len(names))
    held_names = set(names[order[: round(OUTLIERS_HELD * len(names))]].tolist())
    is_held = np.array([patient in held_names for patient in patients], bool)
    size = options.image_size
    stacked = np.stack(films) if films else np.empty((0, size, size), np.uint8)
    return Outsiders(learnt=stacked[~is_held], held=stacked[is_held])


def _lung_field(development: Development, options: Options) -> npt.NDArray[np.bool_] | None:
    """Finds the lungs on the prepared films labelled NORMAL; None where they do not show."""
    clear = development.data.films[development.data.labels == 0]
    try:
        return lungs.find(list(clear[:600]))
    except ValueError:
        return None
