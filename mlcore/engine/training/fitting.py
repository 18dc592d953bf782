"""Calibration, threshold, abstention and scope gate, fitted on out-of-fold predictions."""

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
from mlcore.engine.serving.decision import DecisionRule
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.preprocess import prepare_bytes
from mlcore.engine.training import scope
from mlcore.engine.training.augment import augment
from mlcore.engine.training.calibration import Calibration, choose_threshold
from mlcore.engine.training.calibration import fit as fit_calibration
from mlcore.engine.training.training import Options, TrainingSet, outputs_of

Vector = npt.NDArray[Any]
# Augmented training films whose descriptors the distance is fitted to.
DISTANCE_FILMS = 3000
# Fraction of patients outside the population that is held out for testing the gate.
TEST_OUTLIERS = 0.3


@dataclass(frozen=True, eq=False)
class Development:
    """Training and validation films with out-of-fold predictions.

    Attributes:
        records: n films.
        data: preprocessed pixels and labels.
        judged: (n,) whether there is an out-of-fold prediction.
        unseen: (n,) films that the first member was not trained on.
        logits: (n,) out-of-fold log-odds, NaN without a prediction.
        changed_logits: (n,) log-odds of the same films under a random corruption.
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
        """Return labels and log-odds (2 m,) of the predicted films, original and corrupted."""
        labels = self.data.labels[self.judged]
        logits = [self.logits[self.judged], self.changed_logits[self.judged]]
        return np.tile(labels, 2), np.concatenate(logits)


@dataclass(frozen=True, eq=False)
class OutlierFilms:
    """Preprocessed films outside the population, split by patient.

    Attributes:
        training: (m, size, size) uint8.
        test: (k, size, size) uint8.
    """

    training: npt.NDArray[np.uint8]
    test: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything that a served network needs besides its weights.

    `first` is the first member, whose descriptor the scope gate uses.
    """

    first: keras.Model
    calibration: Calibration
    threshold: float
    abstention: Abstention
    gate: scope.Gate
    reference: Reference
    outlier_films: OutlierFilms
    lung_field: npt.NDArray[np.bool_] | None

    @property
    def rule(self) -> DecisionRule:
        """The rule by which the model reads films."""
        return DecisionRule(self.abstention.lower, self.abstention.upper)


def fit(
    first: keras.Model,
    development: Development,
    options: Options,
    *,
    outliers: Sequence[Path],
    on_stage: Callable[[str], None],
) -> Fitted:
    """Fit calibration, threshold, abstention, scope gate and heatmap reference.

    Args:
        first: the first member, whose descriptor the scope gate uses.
        development: the films with out-of-fold predictions.
        options: the training options.
        outliers: files of films outside the population.
        on_stage: called with a short description of each stage.
    """
    judged, labels = development.judged, development.data.labels
    calibration = fit_calibration(labels[judged], development.logits[judged])
    # Also chosen on corrupted films: most corruptions raise the probability of NORMAL films, and a
    # threshold chosen on clean films alone would cause too many false positives.
    both_labels, both_logits = development.clean_and_changed()
    cut = choose_threshold(both_labels, both_logits, seed=options.seed)
    threshold = float(calibration.probabilities(cut))
    on_stage("training the scope gate")
    outlier_films = read_outliers(outliers, options)
    return Fitted(
        first=first,
        calibration=calibration,
        threshold=threshold,
        abstention=conformal.fit(
            both_labels, calibration.probabilities(both_logits), threshold=threshold
        ),
        gate=_gate(first, development, options, outlier_films),
        reference=Reference.fit(development.evidence[judged & (labels == 0)]),
        outlier_films=outlier_films,
        lung_field=_lung_field(development, options),
    )


def _gate(
    first: keras.Model, development: Development, options: Options, outlier_films: OutlierFilms
) -> scope.Gate:
    films, labels = development.data.films, development.data.labels
    learnt = np.flatnonzero(~development.unseen)
    rng = np.random.default_rng([options.seed, 11])
    chosen = rng.permutation(learnt)[:DISTANCE_FILMS]
    # Augmented as in training: noise, a small rotation or a frame must not count as OOD.
    changed = np.stack(
        [
            augment(films[i], donor=films[rng.choice(learnt)], rng=rng, spec=options.augmentation)
            for i in chosen
        ]
    )
    distance = scope.Distance.fit(outputs_of(first, changed)["descriptor"], labels[chosen])
    network = scope.train_ood_classifier(
        scope.OodTrainingData(
            films[learnt],
            outlier_films.training,
            options.preprocessing,
            options.augmentation,
            options.seed,
        ),
        epochs=scope.EPOCHS,
    )
    unseen = films[development.unseen]
    return scope.Gate.fit(distance, network, outputs_of(first, unseen)["descriptor"], unseen)


def read_outliers(paths: Sequence[Path], options: Options) -> OutlierFilms:
    """Read and preprocess films outside the population; unreadable files are skipped.

    The patients (see `dataset.identify`) are split by the seed.
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
    test_names = set(names[order[: round(TEST_OUTLIERS * len(names))]].tolist())
    is_test = np.array([patient in test_names for patient in patients], bool)
    size = options.image_size
    stacked = np.stack(films) if films else np.empty((0, size, size), np.uint8)
    return OutlierFilms(training=stacked[~is_test], test=stacked[is_test])


def _lung_field(development: Development, options: Options) -> npt.NDArray[np.bool_] | None:
    """Return the lung field of the films labelled NORMAL, or None if it cannot be found."""
    clear = development.data.films[development.data.labels == 0]
    try:
        return lungs.find(list(clear[:600]))
    except ValueError:
        return None
