"""What a served network does where it should not know, and on films that are not as they were.

Needs LiteRT alone, so a machine that only serves can measure it too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.evaluation import corruptions, lungs, probe
from mlcore.engine.evaluation.predictions import Change, ask
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.runtime import Output

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[Any]
Run = Callable[[Pixels], Output]


def shortcuts(
    run: Run, films: Sequence[Pixels], labels: Vector, field: lungs.Field, reference: Reference
) -> dict[str, Any]:
    """Return the card's `shortcuts`, less where it was measured; see `probe.report`.

    Args:
        run: (H, W) uint8 pixels -> output.
        films: n of them.
        labels: (n,) 0 or 1.
        field: where the lungs lie.
        reference: against which the map is shown to doctors.
    """

    def answers(change: Change) -> tuple[Vector, Vector]:
        given = ask(run, films, change=change)
        return given.probabilities, given.maps

    return probe.report(labels, answers, field, local_evidence=reference.local_evidence)


def robustness(
    run: Run, films: Sequence[Pixels], labels: Vector, *, threshold: float, limit: float
) -> dict[str, Any]:
    """Return the card's `robustness`, less where it was measured.

    Args:
        threshold: probability from which a film is called PNEUMONIA.
        limit: scope score above which a film is flagged.
    """
    rows = []
    for kind in corruptions.KINDS:
        for severity in corruptions.SEVERITIES:
            given = ask(run, films, change=partial(_corrupted, kind, severity))
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
