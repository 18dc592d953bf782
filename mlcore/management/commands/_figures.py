"""Figures as the commands print them."""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlcore.engine.metrics import UndefinedMetricWarning

# Why a metric is undefined, by its name.
REASONS = {
    "auc": "all films have the same label",
    "sensitivity": "no film is labelled PNEUMONIA",
    "specificity": "no film is labelled NORMAL",
    "ppv": "no film reaches the ranking threshold",
    "npv": "every film reaches the ranking threshold",
    "accuracy_when_sure": "every film is UNSURE",
    "share": "no film has this label",
    "ppv_at": "no film is called PNEUMONIA, or a label is missing",
    "npv_at": "no film is called NORMAL, or a label is missing",
    "in_lungs": "no film has evidence for pneumonia",
}
NO_FILMS = "there are no such films"


def shown(value: float | None, name: str, *, digits: int = 4) -> str:
    """Return a metric with fixed digits, or "undefined" with the reason, never "nan".

    Args:
        value: the metric; NaN, or null on a card, is undefined.
        name: its name, which decides the reason; see `REASONS`.
        digits: after the point.
    """
    if not _defined(value):
        return f"undefined ({REASONS.get(name, NO_FILMS)})"
    return f"{value:.{digits}f}"


def shown_with_interval(
    figures: Mapping[str, Any], key: str, interval: str, *, name: str = ""
) -> str:
    """Return a metric with its 95 % confidence interval.

    Args:
        figures: where both are.
        key: of the metric.
        interval: key of the interval, (low, high).
        name: name of the metric if it is not `key`; see `shown`.
    """
    value = shown(figures[key], name or key)
    if not _defined(figures[key]):
        return value
    low, high = figures[interval]
    if not (_defined(low) and _defined(high)):
        return f"{value}  (95 % confidence interval undefined: too few films)"
    return f"{value}  (95 % {low:.4f} to {high:.4f})"


@contextmanager
def undefined_printed() -> Iterator[None]:
    """Silence warnings of undefined metrics, which the command prints with their reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        yield


def _defined(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
