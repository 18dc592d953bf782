"""Calibration, threshold, abstention and scope gate, fitted on out-of-fold predictions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import FilmRecord
from mlcore.engine.evaluation import corruptions, lungs
from mlcore.engine.serving import conformal
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.decision import DecisionRule
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.preprocess import Preprocessing, prepare_bytes, squash
from mlcore.engine.training import scope
from mlcore.engine.training.augment import Augmentation
from mlcore.engine.training.calibration import Calibration, choose_threshold
from mlcore.engine.training.calibration import fit as fit_calibration
from mlcore.engine.training.outlier_films import OutlierFilms
from mlcore.engine.training.training import Options, TrainingSet, outputs_of

Vector = npt.NDArray[Any]
# Augmented training films whose descriptors the distance is fitted to.
DISTANCE_FILMS = 3000


@dataclass(frozen=True, eq=False)
class External:
    """Films of another origin that no network was trained on, for fitting and for choosing.

    Attributes:
        films: (m, side, side) uint8, squashed.
        prepared: (m, size, size) uint8, prepared for the network.
        labels: (m,) 0 or 1.
        logits: (m,) log-odds of all members together.
        changed_logits: (m,) log-odds of the same films under a random corruption.
    """

    films: npt.NDArray[np.uint8]
    prepared: npt.NDArray[np.uint8]
    labels: Vector
    logits: Vector
    changed_logits: Vector


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
        squashed: (n, side, side) uint8 whole films.
        finder: the network that finds the lungs, if the model reads them only.
        external: films of another origin, if there are any.
    """

    records: list[FilmRecord]
    data: TrainingSet
    judged: npt.NDArray[np.bool_]
    unseen: npt.NDArray[np.bool_]
    logits: Vector
    changed_logits: Vector
    evidence: Vector
    squashed: npt.NDArray[np.uint8]
    finder: keras.Model | None = None
    external: External | None = None

    def sets(self) -> list[tuple[Vector, Vector, Vector]]:
        """Return labels, log-odds and log-odds under corruption, out of fold and external."""
        judged = self.judged
        found = [(self.data.labels[judged], self.logits[judged], self.changed_logits[judged])]
        if self.external is not None:
            external = self.external
            found.append((external.labels, external.logits, external.changed_logits))
        return found


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything that a served network needs besides its weights.

    Attributes:
        first: the first member, whose descriptor the scope gate uses.
        left_out: by source of outliers, how many are refused by an OOD classifier that was trained
            without this source, and their number; empty with fewer than two sources.
    """

    first: keras.Model
    calibration: Calibration
    threshold: float
    abstention: Abstention
    gate: scope.Gate
    reference: Reference
    outliers: OutlierFilms
    left_out: dict[str, tuple[int, int]]
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
    outliers: OutlierFilms,
    on_stage: Callable[[str], None],
) -> Fitted:
    """Fit calibration, threshold, abstention, scope gate and heatmap reference.

    Out-of-fold and external films count the same, whatever their numbers. The threshold and the
    limits of abstention are also chosen on corrupted films: most corruptions raise the probability
    of NORMAL films, and limits chosen on clean films alone would cause too many false positives.

    Args:
        first: the first member, whose descriptor the scope gate uses.
        development: the films with out-of-fold predictions.
        options: the training options.
        outliers: films outside the population.
        on_stage: called with a short description of each stage.
    """
    judged, labels = development.judged, development.data.labels
    sets = development.sets()
    calibration = fit_calibration(
        np.concatenate([truth for truth, _, _ in sets]),
        np.concatenate([logits for _, logits, _ in sets]),
        weights=np.concatenate(
            [np.full(len(truth), len(sets[0][0]) / len(truth)) for truth, _, _ in sets]
        ),
    )
    cuts = [
        choose_threshold(np.tile(truth, 2), np.concatenate([clean, changed]), seed=options.seed)
        for truth, clean, changed in sets
    ]
    threshold = float(calibration.probabilities(np.mean(cuts)))
    on_stage("training the scope gate")
    gate, left_out = _gate(first, development, options, outliers, on_stage)
    return Fitted(
        first=first,
        calibration=calibration,
        threshold=threshold,
        abstention=_abstention(sets, calibration, threshold),
        gate=gate,
        reference=Reference.fit(development.evidence[judged & (labels == 0)]),
        outliers=outliers,
        left_out=left_out,
        lung_field=_lung_field(development),
    )


def _abstention(
    sets: list[tuple[Vector, Vector, Vector]], calibration: Calibration, threshold: float
) -> Abstention:
    """Return the widest of the bands of the sets, so that the coverage holds on each."""
    bands = [
        conformal.fit(
            np.tile(truth, 2),
            calibration.probabilities(np.concatenate([clean, changed])),
            threshold=threshold,
        )
        for truth, clean, changed in sets
    ]
    return Abstention(
        coverage=bands[0].coverage,
        lower=min(band.lower for band in bands),
        upper=max(band.upper for band in bands),
    )


def _whole(
    films: npt.NDArray[np.uint8], development: Development, options: Options
) -> npt.NDArray[np.uint8]:
    """Prepare (n, side, side) squashed films for the OOD classifier."""
    size, spec = _whole_format(development, options)
    if not len(films):
        return np.empty((0, size, size), np.uint8)
    return np.stack([prepare_bytes(film, size=size, spec=spec) for film in films])


def _whole_format(development: Development, options: Options) -> tuple[int, Preprocessing]:
    if development.finder is None:
        return options.image_size, options.preprocessing
    return development.finder.input.shape[1], Preprocessing()


def _gate(
    first: keras.Model,
    development: Development,
    options: Options,
    outliers: OutlierFilms,
    on_stage: Callable[[str], None],
) -> tuple[scope.Gate, dict[str, tuple[int, int]]]:
    unseen = development.unseen
    learnt = np.flatnonzero(~unseen)
    distance = _distance(first, development, options, learnt)
    films = _whole(development.squashed, development, options)
    prepared = _whole(outliers.films, development, options)
    # Corrupted films too: noise or a marker takes no film out of the population, nor into it.
    _, spec = _whole_format(development, options)
    changed = _whole(_corrupted(development.squashed[learnt], spec), development, options)
    inside = np.concatenate([films[learnt], changed])
    outside = prepared, _whole(_corrupted(outliers.films, spec), development, options)
    judged = [scope.Judged(_descriptors(first, development.data.films[unseen]), films[unseen])]
    if development.external is not None:
        external = development.external
        whole = _whole(external.films, development, options)
        judged.append(scope.Judged(_descriptors(first, external.prepared), whole))

    def trained_on(chosen: npt.NDArray[np.bool_], *, epochs: int = scope.EPOCHS) -> scope.Gate:
        data = scope.OodTrainingData(
            films=inside,
            outliers=np.concatenate([version[chosen] for version in outside]),
            sources=np.tile(outliers.source[chosen], len(outside)),
            spec=spec,
            # Whole films need augmentations that the inside of the lungs doesn't.
            augmentation=Augmentation() if development.finder else options.augmentation,
            seed=options.seed,
        )
        classifier = scope.train_ood_classifier(data, epochs=epochs, finder=development.finder)
        return scope.Gate.fit(distance, classifier, *judged)

    left_out = {}
    if len(outliers.names) > 1:
        for number, name in enumerate(outliers.names):
            on_stage(f"testing the scope gate without {name}")
            chosen = ~outliers.is_test & (outliers.source != number)
            gate = trained_on(chosen, epochs=scope.EPOCHS_LEFT_OUT)
            odds = scope.ood_log_odds(gate.classifier, prepared[outliers.source == number])
            left_out[name] = int((odds > gate.log_odds_limit).sum()), len(odds)
    return trained_on(~outliers.is_test), left_out


def _corrupted(films: npt.NDArray[np.uint8], spec: Preprocessing) -> npt.NDArray[np.uint8]:
    """Return (n, side, side) squashed films, each under a random corruption."""
    changed = [squash(corruptions.any_of(film, seed), spec) for seed, film in enumerate(films)]
    return np.stack(changed) if changed else films


def _descriptors(first: keras.Model, films: npt.NDArray[np.uint8]) -> Vector:
    return outputs_of(first, films)["descriptor"]


def _distance(
    first: keras.Model, development: Development, options: Options, learnt: npt.NDArray[np.int64]
) -> scope.Distance:
    rng = np.random.default_rng([options.seed, 11])
    chosen = rng.permutation(learnt)[:DISTANCE_FILMS]
    source = development.data.source
    # Augmented as in training: noise, a small rotation or a frame must not count as OOD.
    changed = np.stack([source.augmented(int(i), rng, options.augmentation) for i in chosen])
    return scope.Distance.fit(_descriptors(first, changed), development.data.labels[chosen])


def _lung_field(development: Development) -> npt.NDArray[np.bool_] | None:
    """Return the lung field of the films labelled NORMAL, or None if it cannot be found."""
    clear = development.squashed[development.data.labels == 0]
    try:
        return lungs.find(list(clear[:600]))
    except ValueError:
        return None
