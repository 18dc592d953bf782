"""The predictors of lossless JPEG (ITU-T T.81, annex H.1.2): from differences to samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.uint16]

# A diagonal touches this many cache lines: few enough for them to stay in the cache until the
# diagonals after it have used them.
_DIAGONAL = 512


def reconstruct(samples: Samples, predictor: int, *, first: int, rows_per_interval: int) -> None:
    """Turn differences into samples, in place and modulo 65,536.

    Args:
        samples: uint16 (rows, columns), the differences; replaced by the samples.
        predictor: 1 (left) to 7.
        first: the prediction of the first sample of each restart interval.
        rows_per_interval: rows of a restart interval; the last one may have fewer.
    """
    rows, columns = samples.shape
    whole = rows // rows_per_interval * rows_per_interval
    for intervals in (
        samples[:whole].reshape(-1, rows_per_interval, columns),
        samples[np.newaxis, whole:],
    ):
        if not intervals.size:
            continue
        intervals[:, 0, 0] += np.uint16(first)
        # The first row is predicted from the left and the first column from above, always.
        _sum(intervals[:, 0], axis=1)
        _sum(intervals[:, :, 0], axis=1)
        if predictor < 6:
            _add_by_rows(intervals, predictor)
        else:
            _add_by_diagonals(intervals, predictor)


def _sum(samples: Samples, axis: int) -> None:
    np.cumsum(samples, axis=axis, dtype=np.uint16, out=samples)


def _add_by_rows(intervals: Samples, predictor: int) -> None:
    """Predictors 1 to 5, in which the sample on the left is added as it is, or not at all."""
    for row in range(1, intervals.shape[1]):
        here, up, corner = intervals[:, row], intervals[:, row - 1, 1:], intervals[:, row - 1, :-1]
        if predictor == 2:
            here[:, 1:] += up
        elif predictor == 3:
            here[:, 1:] += corner
        else:
            if predictor == 4:
                here[:, 1:] += up - corner
            elif predictor == 5:
                here[:, 1:] += ((up.astype(np.int32) - corner) >> 1).astype(np.uint16)
            _sum(here, axis=1)


def _add_by_diagonals(intervals: Samples, predictor: int) -> None:
    """Predictors 6 and 7, which halve the sample on the left, so that rows cannot be summed.

    A sample depends on neighbours of the two diagonals before its own only (from lower left to
    upper right), so that all samples of a diagonal are computed at once.
    """
    rows = intervals.shape[1]
    together = max(1, _DIAGONAL // rows)
    for first in range(0, len(intervals), together):
        group = intervals[first : first + together]
        for top in range(0, rows - 1, _DIAGONAL):  # one row more: it predicts the next
            _add_in_strip(group[:, top : top + _DIAGONAL + 1], predictor)


def _add_in_strip(strip: Samples, predictor: int) -> None:
    """Reconstruct all but the first row and the first column, which are complete."""
    count, rows, columns = strip.shape
    flat, step = strip.reshape(count, -1), columns - 1  # from a sample to the one below left
    # The two diagonals before, by row.
    before, last = np.zeros((2, count, rows), np.int32)
    for diagonal in range(rows + columns - 1):
        top, bottom = max(0, diagonal - columns + 1), min(rows - 1, diagonal)
        line = flat[:, diagonal + top * step : diagonal + bottom * step + 1 : max(step, 1)]
        level = line.astype(np.int32)
        inner = slice(max(1, top), min(bottom, diagonal - 1) + 1)
        if inner.stop > inner.start:
            above = slice(inner.start - 1, inner.stop - 1)
            left, up, corner = last[:, inner], last[:, above], before[:, above]
            here = level[:, inner.start - top : inner.stop - top]
            here += up + ((left - corner) >> 1) if predictor == 6 else (left + up) >> 1
            here &= 0xFFFF
            line[:, inner.start - top : inner.stop - top] = here
        before, last = last, before
        last[:, top : bottom + 1] = level
