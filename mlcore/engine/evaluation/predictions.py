"""What a served network says of many films: the way `evaluate_model` and the card measure.

Films go through reading, preparation and LiteRT exactly as a doctor's film does, so a figure on
the card is one that the command beside it gives again.
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
from mlcore.engine.serving.runtime import Output

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[Any]
# A film and its place among the films -> what is shown to the network instead.
Change = Callable[[Pixels, int], Pixels]


@dataclass(frozen=True, eq=False)
class Answers:
    """Outputs of n films in their order.

    Attributes:
        probabilities: (n,) of PNEUMONIA, calibrated.
        scope_scores: (n,).
        maps: (n, h, w) local log-odds.
    """

    probabilities: Vector
    scope_scores: Vector
    maps: Vector

    @classmethod
    def of(cls, outputs: Sequence[Output]) -> "Answers":
        return cls(
            np.array([output.probability for output in outputs]),
            np.array([output.scope_score for output in outputs]),
            np.stack([output.activation_map for output in outputs]),
        )


class FilmFiles(Sequence[Pixels]):
    """Films read from disk each time they are asked for, so that thousands need no memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return FilmFiles(self.paths[place])
        return read_film(self.paths[place].read_bytes()).pixels


def ask(
    run: Callable[[Pixels], Output],
    films: Sequence[Pixels],
    *,
    change: Change | None = None,
    workers: int = 2,
) -> Answers:
    """Run a network over films.

    Args:
        run: (H, W) uint8 pixels -> output, preparation included; threads may share it.
        films: at least one; read once each, in any order.
        change: made to each film first, given the film and its place.
    """

    def one(place: int) -> Output:
        film = films[place]
        return run(change(film, place) if change else film)

    with ThreadPoolExecutor(workers) as pool:
        return Answers.of(list(pool.map(one, range(len(films)))))


def figures(
    labels: Vector,
    probabilities: Vector,
    *,
    threshold: float,
    abstention: Abstention | None,
    flagged: int,
    measured_for_scope: int | None = None,
) -> dict[str, Any]:
    """Every figure of a set of films, as cards and `evaluate_model` state them.

    Args:
        flagged: films whose picture alone puts them out of scope.
        measured_for_scope: films among which those were counted; all n by default.

    Returns:
        What `metrics.evaluate` gives, `out_of_scope_rate`, and where the model may abstain
        `unsure_rate`, `coverage` (share of films whose answer is not the wrong label) and
        `accuracy_when_sure`; each with its interval under `<name>_ci`.
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
    """Accuracy by numbering series or aetiology: of one label each, so it is that label's share."""
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
