"""Shortcut and robustness tests of a served network. Needs LiteRT only, not Keras."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.evaluation import corruptions, lungs, probe
from mlcore.engine.evaluation.predictions import Change, Predictions, predict_all
from mlcore.engine.serving.pipeline import Output, Pipeline

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[Any]
Run = Callable[[Pixels], Output]


def shortcuts(
    pipeline: Pipeline, films: Sequence[Pixels], labels: Vector, field: lungs.Field
) -> dict[str, Any]:
    """Return `card["shortcuts"]` without the name of the data set; see `probe.report`.

    Args:
        pipeline: the served networks.
        films: n films.
        labels: (n,) 0 or 1.
        field: the lung field.
    """

    def answers(change: Change) -> Predictions:
        return predict_all(pipeline.run, films, change=change)

    return probe.report(labels, answers, field, heatmap=pipeline.heatmap)


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
