"""Predictions of a served network for many films, as used by `evaluate_model` and model cards.

Films pass through the same decoding, preprocessing and LiteRT runtime as a doctor's upload, so that
every figure on a card can be reproduced with the command beside it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.films.film import read_film
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.pipeline import Output

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[Any]
# Takes a film and its index; returns the image to predict instead.
Change = Callable[[Pixels, int], Pixels]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The outputs for n films, in order.

    Attributes:
        probabilities: (n,) calibrated probabilities of PNEUMONIA.
        scope_scores: (n,) scope scores.
        outputs: the whole outputs.
    """

    probabilities: Vector
    scope_scores: Vector
    outputs: Sequence[Output]

    @classmethod
    def of(cls, outputs: Sequence[Output]) -> "Predictions":
        return cls(
            np.array([output.probability for output in outputs]),
            np.array([output.scope_score for output in outputs]),
            outputs,
        )


class FilmFiles(Sequence[Pixels]):
    """A sequence of films that are read from disk on access, to save memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return FilmFiles(self.paths[place])
        return read_film(self.paths[place].read_bytes()).pixels


def predict_all(
    run: Callable[[Pixels], Output],
    films: Sequence[Pixels],
    *,
    change: Change | None = None,
    workers: int = 2,
) -> Predictions:
    """Predict every film.

    Args:
        run: thread-safe function from (H, W) uint8 pixels to the output, including preprocessing.
        films: at least one film; each is read once, in any order.
        change: applied to each film first; takes the film and its index.
        workers: number of threads.
    """

    def one(place: int) -> Output:
        film = films[place]
        return run(change(film, place) if change else film)

    with ThreadPoolExecutor(workers) as pool:
        return Predictions.of(list(pool.map(one, range(len(films)))))


def figures(
    labels: Vector,
    probabilities: Vector,
    *,
    threshold: float,
    abstention: Abstention | None,
    flagged: int,
    measured_for_scope: int | None = None,
) -> dict[str, Any]:
    """Return all metrics of a set of films, as reported on cards and by `evaluate_model`.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) calibrated probabilities of PNEUMONIA.
        threshold: probability from which a film is called PNEUMONIA.
        abstention: the abstention band, or None.
        flagged: number of films that the image alone puts out of scope.
        measured_for_scope: number of films that `flagged` refers to; defaults to n.

    Returns:
        The result of `metrics.evaluate`, `out_of_scope_rate` and, with abstention, `unsure_rate`,
        `coverage` (fraction of films not assigned the wrong label) and `accuracy_when_sure`; each
        with its confidence interval under `<name>_ci`.
    """
    found = metrics.evaluate(labels, probabilities, threshold=threshold)
    n = int(found["n"])
    counted = n if measured_for_scope is None else measured_for_scope
    shares = {"out_of_scope_rate": (flagged, counted)}
    if abstention is not None:
        unsure = abstention.is_unsure(probabilities)
        wrong = ~unsure & ((probabilities >= threshold) != (np.asarray(labels) == 1))
        sure = n - int(unsure.sum())
        shares |= {
            "unsure_rate": (n - sure, n),
            "coverage": (n - int(wrong.sum()), n),
            "accuracy_when_sure": (sure - int(wrong.sum()), sure),
        }
    for name, (count, of) in shares.items():
        found[name] = metrics.share(count, of, name)
        found[f"{name}_ci"] = list(metrics.wilson_interval(count, of))
    return found


def by_series(
    series: Sequence[str],
    labels: Vector,
    probabilities: Vector,
    *,
    threshold: float,
    abstention: Abstention | None,
) -> dict[str, Any]:
    """Return accuracy and abstention by numbering series or aetiology."""
    right = (probabilities >= threshold) == (np.asarray(labels) == 1)
    rows: dict[str, Any] = {}
    for name in sorted(set(series) - {""}):
        members = np.array([entry == name for entry in series])
        n, good = int(members.sum()), int(right[members].sum())
        rows[name] = {
            "n": n,
            "accuracy": good / n,
            "accuracy_ci": list(metrics.wilson_interval(good, n)),
        }
        if abstention is not None:
            rows[name]["unsure_rate"] = float(abstention.is_unsure(probabilities[members]).mean())
    return rows
