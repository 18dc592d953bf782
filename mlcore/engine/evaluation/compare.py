"""Paired comparison of two models on the same films. Needs NumPy only.

Films are matched by the SHA-256 of their pixels. Confidence intervals and p-values treat films as
independent, so they are slightly too narrow if patients have several films.
"""

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import LABELS
from mlcore.engine.metrics import auc

Vector = npt.NDArray[Any]

PREDICTIONS = "predictions.csv"
COLUMNS = ("split", "pixels_sha256", "label", "series", "probability", "scope_score")
# Films that the networks of a derived bundle were trained on, with no figures of their own.
TRAINED_ON = "training"
SPLITS = ("validation", "test", TRAINED_ON)
RESAMPLES = 2000
# Resamples processed at once, to limit memory.
BLOCK = 250
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PredictionsError(ValueError):
    """Raised when a `predictions.csv` is invalid; the message names the line."""


class NothingInCommonError(ValueError):
    """Raised when two models share no test films, or only films of one label."""


@dataclass(frozen=True)
class LabelledPrediction:
    """The label of a film and a model's prediction.

    Attributes:
        is_sick: whether the film is labelled PNEUMONIA.
        probability: calibrated probability of PNEUMONIA.
    """

    is_sick: bool
    probability: float


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two models on the same films.

    Attributes:
        n: number of films.
        first, second: fraction of correct predictions of each model.
        only_first, only_second: films that only one of the models predicted correctly.
        p_value: exact two-sided (binomial) p-value; 1 if the models never differ.
    """

    n: int
    first: float
    second: float
    only_first: int
    only_second: int
    p_value: float

    @property
    def difference(self) -> float:
        return self.second - self.first


@dataclass(frozen=True)
class AucDifference:
    """Difference of the AUC of two models on the same films.

    Attributes:
        first, second: AUC of each model.
        interval: 95 % bootstrap percentile interval of second minus first.
        p_value: two-sided bootstrap p-value; never below 2 / (resamples + 1).
        resamples, seed: parameters of the bootstrap.
    """

    first: float
    second: float
    interval: tuple[float, float]
    p_value: float
    resamples: int
    seed: int

    @property
    def difference(self) -> float:
        return self.second - self.first


@dataclass(frozen=True)
class Comparison:
    """Comparison of two models on the films that both were tested on.

    Attributes:
        n, sick: number of shared films, and of those labelled PNEUMONIA.
        auc: see `AucDifference`.
        accuracy, sensitivity, specificity: at each model's own threshold.
    """

    n: int
    sick: int
    auc: AucDifference
    accuracy: McNemar
    sensitivity: McNemar
    specificity: McNemar


def read_predictions(content: bytes, *, split: str = "test") -> dict[str, LabelledPrediction]:
    """Read the rows of one split from the content of a `predictions.csv`.

    Exact copies of a film count once.

    Returns:
        Predictions by SHA-256 of the pixels.

    Raises:
        PredictionsError: wrong header, invalid value, or a film with two labels.
    """
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise PredictionsError(f"The header must be {','.join(COLUMNS)}.")
        films: dict[str, LabelledPrediction] = {}
        for row in reader:
            name, film = _checked_row(row, reader.line_num)
            if row["split"] != split:
                continue
            if films.setdefault(name, film).is_sick != film.is_sick:
                raise PredictionsError(f"Line {reader.line_num}: this film has two labels.")
    except (UnicodeDecodeError, csv.Error) as error:
        raise PredictionsError(f"Invalid CSV file: {error}") from error
    return films


def _checked_row(row: Mapping[str | None, Any], line: int) -> tuple[str, LabelledPrediction]:
    if None in row or None in row.values():
        raise PredictionsError(f"Line {line}: expected {len(COLUMNS)} values.")
    if row["split"] not in SPLITS or row["label"] not in LABELS:
        raise PredictionsError(f"Line {line}: unknown split or label.")
    if not _SHA256.fullmatch(row["pixels_sha256"]):
        raise PredictionsError(
            f"Line {line}: invalid SHA-256. Received: {row['pixels_sha256'][:70]!r}."
        )
    try:
        probability, score = float(row["probability"]), float(row["scope_score"] or 0)
    except ValueError as error:
        raise PredictionsError(f"Line {line}: {error}") from error
    # The scope score is empty for films that the scope gate was not evaluated on.
    if not 0 <= probability <= 1 or not math.isfinite(score):
        raise PredictionsError(f"Line {line}: probability or scope score out of range.")
    return row["pixels_sha256"], LabelledPrediction(row["label"] == LABELS[1], probability)


def compare(
    first: Mapping[str, LabelledPrediction],
    second: Mapping[str, LabelledPrediction],
    *,
    thresholds: tuple[float, float],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the films that both were tested on.

    Args:
        first, second: predictions of each model, from `read_predictions`.
        thresholds: threshold of the first and of the second model.
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap.

    Raises:
        NothingInCommonError: there are no shared films, or only films of one label.
        ValueError: a film has different labels in the two files.
    """
    shared = sorted(first.keys() & second.keys())
    labels = np.array([first[film].is_sick for film in shared], bool)
    if (labels != np.array([second[film].is_sick for film in shared], bool)).any():
        raise ValueError("A film has different labels in the two files.")
    if not labels.any() or labels.all():
        raise NothingInCommonError(f"The models share {len(shared)} films, not of both labels.")
    given = [np.array([side[film].probability for film in shared]) for side in (first, second)]
    right = [(p >= at) == labels for p, at in zip(given, thresholds, strict=True)]
    return Comparison(
        n=len(shared),
        sick=int(labels.sum()),
        auc=auc_difference(labels, given[0], given[1], resamples=resamples, seed=seed),
        accuracy=mcnemar(*right),
        sensitivity=mcnemar(*(side[labels] for side in right)),
        specificity=mcnemar(*(side[~labels] for side in right)),
    )


def mcnemar(first: Vector, second: Vector) -> McNemar:
    """Return McNemar's exact test (1947) of two (n,) vectors of correct predictions.

    Raises:
        ValueError: the lengths differ, or there are no films.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(
            f"Expected two vectors of equal length. Received: {first.shape}, {second.shape}."
        )
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    return McNemar(
        n=first.size,
        first=float(first.mean()),
        second=float(second.mean()),
        only_first=only_first,
        only_second=only_second,
        p_value=_two_sided_binomial(min(only_first, only_second), only_first + only_second),
    )


def _two_sided_binomial(fewer: int, n: int) -> float:
    """Return the exact two-sided p-value of `fewer` successes in `n` fair trials.

    Equal to SciPy's binomtest, which takes seconds to import.
    """
    if 2 * fewer == n:
        return 1.0
    return 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n


def auc_difference(
    labels: Vector,
    first: Vector,
    second: Vector,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> AucDifference:
    """Return the paired bootstrap of the difference of two AUCs, second minus first.

    Stratified by label like pROC (Robin 2011); both models use the same resamples.

    Args:
        labels: (n,) 0 or 1, both present.
        first, second: (n,) scores of the two models.
        resamples: number of resamples.
        seed: seed of the resampling.

    Raises:
        ValueError: only one label is present.
    """
    labels = np.asarray(labels).astype(bool)
    if not labels.any() or labels.all():
        raise ValueError("Both labels are needed.")
    rng = np.random.default_rng(seed)
    sides = [_Ordered(labels, np.asarray(scores, np.float64)) for scores in (first, second)]
    found = []
    for start in range(0, resamples, BLOCK):
        counts = _resampled(labels, min(BLOCK, resamples - start), rng)
        found.append(sides[1].auc(counts) - sides[0].auc(counts))
    differences = np.concatenate(found)
    low, high = np.percentile(differences, [2.5, 97.5])
    # Differences of rounding alone count as zero.
    below = int((differences <= 1e-12).sum())
    above = int((differences >= -1e-12).sum())
    return AucDifference(
        first=auc(labels, first),
        second=auc(labels, second),
        interval=(float(low), float(high)),
        p_value=min(1.0, 2 * (min(below, above) + 1) / (resamples + 1)),
        resamples=resamples,
        seed=seed,
    )


def _resampled(labels: Vector, rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return (rows, n) counts of each film in stratified resamples."""
    counts = np.zeros((rows, labels.size), np.int64)
    for members in (np.flatnonzero(labels), np.flatnonzero(~labels)):
        drawn = members[rng.integers(0, members.size, (rows, members.size))]
        np.add.at(counts, (np.arange(rows)[:, None], drawn), 1)
    return counts


class _Ordered:
    """Films sorted by score, for computing the AUC of many resamples at once."""

    def __init__(self, labels: Vector, scores: Vector) -> None:
        self.order = np.argsort(scores, kind="stable")
        ordered = scores[self.order]
        self.sick = labels[self.order]
        # For each film: the number of films with a lower score, and with a score not higher.
        self.below = np.searchsorted(ordered, ordered, side="left")
        self.up_to = np.searchsorted(ordered, ordered, side="right")

    def auc(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the (rows,) AUC for (rows, n) counts of the films; ties count half."""
        counts = counts[:, self.order]
        well = np.cumsum(np.where(self.sick, 0, counts), axis=1)
        well = np.concatenate([np.zeros((len(counts), 1), np.int64), well], axis=1)
        beaten = (well[:, self.below] + well[:, self.up_to]) / 2
        sick = np.where(self.sick, counts, 0)
        won: npt.NDArray[np.float64] = (sick * beaten).sum(axis=1)
        return won / (sick.sum(axis=1) * well[:, -1])
