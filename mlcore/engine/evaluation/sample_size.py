"""How many films a proportion needs so that its confidence interval is narrow enough."""

import math
from typing import Any

from mlcore.engine.metrics import Z_95, Interval


def normal(share: float, half_width: float) -> int | None:
    """Return n for the normal approximation, z² p (1 - p) / h².

    None at proportions of 0 and 1, where the approximation would need no films.

    Args:
        share: the expected proportion, in [0, 1].
        half_width: half the width of the 95 % interval, in (0, 0.5).
    """
    _check(share, half_width)
    if share in (0, 1):
        return None
    return math.ceil(round(Z_95**2 * share * (1 - share) / half_width**2, 9))


def wilson(share: float, half_width: float) -> int:
    """Return the smallest n whose Wilson score interval has at most this half width.

    Unlike the normal approximation, it does not vanish at proportions of 0 and 1.

    Args:
        share: the expected proportion, in [0, 1].
        half_width: half the width of the 95 % interval, in (0, 0.5).
    """
    _check(share, half_width)
    low, high = 1, 1
    while _wilson_half_width(share, high) > half_width:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if _wilson_half_width(share, middle) > half_width:
            low = middle + 1
        else:
            high = middle
    return high


def needed(share: float, interval: Interval, half_width: float) -> dict[str, Any] | None:
    """Return how many films of one label a sensitivity or specificity needs.

    Args:
        share: the measured proportion; NaN gives None.
        interval: its 95 % interval.
        half_width: half the width that is wanted.

    Returns:
        `wilson` and `normal`, n if the measured proportion is the true one, and `cautious`, the
        Wilson n at the end of the interval that is nearest to 0.5, which needs the most films.
    """
    if not math.isfinite(share):
        return None
    low, high = interval
    worst = min(max(0.5, low), high)
    return {
        "half_width": half_width,
        "wilson": wilson(share, half_width),
        "normal": normal(share, half_width),
        "cautious": wilson(worst, half_width),
    }


def _wilson_half_width(share: float, n: int) -> float:
    square = Z_95**2
    spread = share * (1 - share) / n + square / (4 * n * n)
    return Z_95 / (1 + square / n) * math.sqrt(spread)


def _check(share: float, half_width: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"The proportion must be between 0 and 1. Received: {share}.")
    if not 0 < half_width < 0.5:
        raise ValueError(f"The half width must be between 0 and 0.5. Received: {half_width}.")
