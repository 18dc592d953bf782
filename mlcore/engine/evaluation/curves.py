"""The points of a model card's charts, from the files of a bundle."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlcore.engine import metrics
from mlcore.engine.data.dataset import LABELS
from mlcore.engine.evaluation.outcomes import rows_of

HISTOGRAM_BINS = 20
# Of an epoch, as columns of `history.csv`: each on the training and on the validation set.
TRACKED = ("loss", "auc")


@dataclass(frozen=True)
class RocPoint:
    """The sensitivity and the specificity at a threshold."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class ReliabilityBin:
    """The films of a range of probabilities.

    Attributes:
        mean: their mean probability.
        observed: the fraction of them with pneumonia.
        ci: the 95 % interval of `observed` (Wilson).
        n: how many they are.
    """

    mean: float
    observed: float
    ci: tuple[float, float]
    n: int


@dataclass(frozen=True)
class Column:
    """The number of films of each label with a probability from `low` to `high`."""

    low: float
    high: float
    normal: int
    pneumonia: int


@dataclass(frozen=True)
class Curves:
    """The charts of the films of one split; `n` films."""

    n: int
    auc: float
    ece: float
    roc: list[RocPoint]
    reliability: list[ReliabilityBin]
    histogram: list[Column]


@dataclass(frozen=True)
class Epoch:
    """An epoch of training; each value is the mean over the members of the ensemble."""

    epoch: int
    training: dict[str, float]
    validation: dict[str, float]


def of_predictions(content: bytes, *, split: str = "test") -> Curves | None:
    """Return the curves of a split of a `predictions.csv`.

    Returns:
        None unless the split has films of both labels.

    Raises:
        ValueError: the file lacks a column, or a value is invalid.
    """
    rows = [row for row in rows_of(content) if row["split"] == split]
    labels = np.array([LABELS.index(row["label"]) for row in rows], dtype=bool)
    probabilities = np.array([float(row["probability"]) for row in rows])
    if not rows or labels.all() or not labels.any():
        return None
    points = metrics.roc_points(labels, probabilities)
    return Curves(
        n=len(rows),
        auc=metrics.auc(labels, probabilities),
        ece=metrics.ece(labels, probabilities),
        roc=[
            RocPoint(*values)
            for values in zip(
                points["probability"], points["sensitivity"], points["specificity"], strict=True
            )
        ],
        reliability=[
            ReliabilityBin(mean, observed, metrics.wilson_interval(round(observed * n), n), n)
            for mean, observed, n in metrics.reliability(labels, probabilities)
        ],
        histogram=_histogram(labels, probabilities),
    )


def _histogram(labels: metrics.Vector, probabilities: metrics.Vector) -> list[Column]:
    place = np.minimum((probabilities * HISTOGRAM_BINS).astype(int), HISTOGRAM_BINS - 1)
    counts = [np.bincount(place[labels == sick], minlength=HISTOGRAM_BINS) for sick in (0, 1)]
    return [
        Column(number / HISTOGRAM_BINS, (number + 1) / HISTOGRAM_BINS, int(normal), int(sick))
        for number, (normal, sick) in enumerate(zip(*counts, strict=True))
    ]


def of_history(content: bytes) -> list[Epoch]:
    """Return the epochs of a `history.csv`, in order.

    Raises:
        ValueError: the file lacks a column, or a value is invalid.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True))
        by_epoch: dict[int, list[dict[str, str]]] = {}
        for row in rows:
            by_epoch.setdefault(int(row["epoch"]), []).append(row)
        return [
            Epoch(
                epoch,
                {key: _mean([float(row[key]) for row in found]) for key in TRACKED},
                {key: _mean([float(row[f"val_{key}"]) for row in found]) for key in TRACKED},
            )
            for epoch, found in sorted(by_epoch.items())
        ]
    except (KeyError, TypeError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"history.csv: {error!r}") from error


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan
