"""Two models on the same films: is the difference more than chance? NumPy alone.

Films are matched by the SHA-256 of their pixels. Every interval and p value takes films as
independent of each other; a patient with several films makes them a little too narrow.
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
SPLITS = ("validation", "test")
RESAMPLES = 2000
# Resamples worked on at once, so that memory stays small however many films there are.
BLOCK = 250
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PredictionsError(ValueError):
    """A `predictions.csv` that is not what a bundle's should be; the message names the line."""


class NothingInCommonError(ValueError):
    """The two models were measured on no film, or on films of one label, in common."""


@dataclass(frozen=True)
class Film:
    """What a model said of one film: whether it shows pneumonia, and the probability it gave."""

    is_sick: bool
    probability: float


@dataclass(frozen=True)
class McNemar:
    """How often two models are right on the same films.

    Attributes:
        n: films.
        first, second: share that each called rightly.
        only_first, only_second: films that one alone called rightly.
        p_value: two-sided, exact (binomial); 1 where they differ on no film.
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
    """AUC of two models on the same films.

    Attributes:
        first, second: AUC of each.
        interval: 95 % percentile interval of second minus first, bootstrap over films.
        p_value: two-sided, of the same bootstrap; never below 2 / (resamples + 1).
        resamples, seed: of the bootstrap.
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
    """Two models on the films that both were measured on.

    Attributes:
        n, sick: films in common, and those of them labelled PNEUMONIA.
        auc: see `AucDifference`.
        accuracy, sensitivity, specificity: at each model's own threshold, on all films, on the
            sick, on the well.
    """

    n: int
    sick: int
    auc: AucDifference
    accuracy: McNemar
    sensitivity: McNemar
    specificity: McNemar


def read_predictions(content: bytes, *, split: str = "test") -> dict[str, Film]:
    """Read the rows of one split from the content of a `predictions.csv`.

    Copies of one film count once.

    Returns:
        pixels_sha256 -> film.

    Raises:
        PredictionsError: another header, a value that cannot be, or one film under two labels.
    """
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise PredictionsError(f"The header must be {','.join(COLUMNS)}.")
        films: dict[str, Film] = {}
        for row in reader:
            name, film = _checked_row(row, reader.line_num)
            if row["split"] != split:
                continue
            if films.setdefault(name, film).is_sick != film.is_sick:
                raise PredictionsError(f"Line {reader.line_num}: this film has two labels.")
    except (UnicodeDecodeError, csv.Error) as error:
        raise PredictionsError(f"This is no CSV file: {error}") from error
    return films


def _checked_row(row: Mapping[str | None, Any], line: int) -> tuple[str, Film]:
    if None in row or None in row.values():
        raise PredictionsError(f"Line {line}: {len(COLUMNS)} values are wanted.")
    if row["split"] not in SPLITS or row["label"] not in LABELS:
        raise PredictionsError(f"Line {line}: unknown split or label.")
    if not _SHA256.fullmatch(row["pixels_sha256"]):
        raise PredictionsError(f"Line {line}: no SHA-256: {row['pixels_sha256'][:70]!r}.")
    try:
        probability, score = float(row["probability"]), float(row["scope_score"] or 0)
    except ValueError as error:
        raise PredictionsError(f"Line {line}: {error}") from error
    # Empty is a film that the scope gate was not measured on.
    if not 0 <= probability <= 1 or not math.isfinite(score):
        raise PredictionsError(f"Line {line}: a probability or score that cannot be.")
    return row["pixels_sha256"], Film(row["label"] == LABELS[1], probability)


def compare(
    first: Mapping[str, Film],
    second: Mapping[str, Film],
    *,
    thresholds: tuple[float, float],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the films that both were measured on.

    Args:
        first, second: pixels_sha256 -> film, as `read_predictions` gives.
        thresholds: probability from which the first, and the second, calls a film PNEUMONIA.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        NothingInCommonError: there is no film, or none of one label, in common.
        ValueError: the two give one film different labels.
    """
    shared = sorted(first.keys() & second.keys())
    labels = np.array([first[film].is_sick for film in shared], bool)
    if (labels != np.array([second[film].is_sick for film in shared], bool)).any():
        raise ValueError("The two models' films have the same pixels and different labels.")
    if not labels.any() or labels.all():
        raise NothingInCommonError(f"{len(shared)} films in common, of less than two labels.")
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
    """McNemar's exact test (1947) on two (n,) bool vectors: whether each film was called rightly.

    Raises:
        ValueError: different lengths, or no films.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(f"Two vectors of one length > 0, got {first.shape} and {second.shape}.")
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
    """Twice the chance of at most `fewer` heads in `n` throws of a fair coin, at most 1.

    Integers, so exact; SciPy's binomtest gives the same and takes seconds to import.
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
    """Paired bootstrap of the difference of two AUCs, second minus first.

    The sick and the well are each drawn again among themselves, as pROC does (Robin 2011), the
    same films for both models.

    Args:
        labels: (n,) 0 or 1, both present.
        first, second: (n,) scores of the two models.
        resamples: how many.
        seed: of the drawing.

    Raises:
        ValueError: one label only.
    """
    labels = np.asarray(labels).astype(bool)
    if not labels.any() or labels.all():
        raise ValueError("Both labels are needed.")
    rng = np.random.default_rng(seed)
    sides = [_Ordered(labels, np.asarray(scores, np.float64)) for scores in (first, second)]
    found = []
    for start in range(0, resamples, BLOCK):
        counts = _drawn_again(labels, min(BLOCK, resamples - start), rng)
        found.append(sides[1].auc(counts) - sides[0].auc(counts))
    differences = np.concatenate(found)
    low, high = np.percentile(differences, [2.5, 97.5])
    # A difference of rounding alone is none.
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


def _drawn_again(labels: Vector, rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return (rows, n): how often each film is drawn, its label's number of films kept."""
    counts = np.zeros((rows, labels.size), np.int64)
    for members in (np.flatnonzero(labels), np.flatnonzero(~labels)):
        drawn = members[rng.integers(0, members.size, (rows, members.size))]
        np.add.at(counts, (np.arange(rows)[:, None], drawn), 1)
    return counts


class _Ordered:
    """Films in the order of one model's scores, to have the AUC of many resamples at once."""

    def __init__(self, labels: Vector, scores: Vector) -> None:
        self.order = np.argsort(scores, kind="stable")
        ordered = scores[self.order]
        self.sick = labels[self.order]
        # Of each film: how many films score below it, and how many no higher.
        self.below = np.searchsorted(ordered, ordered, side="left")
        self.up_to = np.searchsorted(ordered, ordered, side="right")

    def auc(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """(rows, n) counts in the films' own order -> (rows,) AUC; ties count half."""
        counts = counts[:, self.order]
        well = np.cumsum(np.where(self.sick, 0, counts), axis=1)
        well = np.concatenate([np.zeros((len(counts), 1), np.int64), well], axis=1)
        beaten = (well[:, self.below] + well[:, self.up_to]) / 2
        sick = np.where(self.sick, counts, 0)
        won: npt.NDArray[np.float64] = (sick * beaten).sum(axis=1)
        return won / (sick.sum(axis=1) * well[:, -1])
