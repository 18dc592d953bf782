"""Shortcut and robustness tests of a served network. Needs LiteRT only, not Keras."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.evaluation import corruptions, lungs, probe
from mlcore.engine.evaluation.predictions import Change, predict_all
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.runtime import Output

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[Any]
Run = Callable[[Pixels], Output]


def shortcuts(
    run: Run, films: Sequence[Pixels], labels: Vector, field: lungs.Field, reference: Reference
) -> dict[str, Any]:
    """Return `card["shortcuts"]` without the name of the data set; see `probe.report`.

    Args:
        run: function from (H, W) uint8 pixels to the output.
        films: n films.
        labels: (n,) 0 or 1.
        field: the lung field.
        reference: the reference of the heatmap.
    """

    def answers(change: Change) -> tuple[Vector, Vector]:
        given = predict_all(run, films, change=change)
        return given.probabilities, given.maps

    return probe.report(labels, answers, field, local_evidence=reference.local_evidence)


def robustness(
    run: Run, films: Sequence[Pixels], labels: Vector, *, threshold: float, limit: float
) -> dict[str, Any]:
    """Return `card["robustness"]` without the name of the data set.

    Args:
        run: function from (H, W) uint8 pixels to the output.
        films: n films.
        labels: (n,) 0 or 1.
        threshold: probability from which a film is called PNEUMONIA.
        limit: scope score above which a film is flagged.
    """
    rows = []
    for kind in corruptions.KINDS:
        for severity in corruptions.SEVERITIES:
            given = predict_all(run, films, change=partial(_corrupted, kind, severity))
            called = given.probabilities >= threshold
            rows.append(
                {
                    "corruption": kind,
                    "severity": severity,
                    "auc": metrics.auc(labels, given.probabilities),
                    "sensitivity": float(called[labels == 1].mean()),
                    "specificity": float((~called[labels == 0]).mean()),
                    "out_of_scope_rate": float((given.scope_scores > limit).mean()),
                }
            )
    return {"n": len(labels), "rows": rows}


def _corrupted(kind: str, severity: int, film: Pixels, place: int) -> Pixels:
    return corruptions.corrupt(film, kind, severity, seed=place)
