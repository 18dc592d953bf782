"""Cross-validation folds of consecutive patient numbers.

Numbers were assigned in order of acquisition, so consecutive patients were imaged under settings
that differ from the rest. Out-of-fold predictions on such blocks resemble external data a little
more than random folds, which are too optimistic.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import FilmRecord, groups


def blocks(films: Sequence[FilmRecord], count: int) -> npt.NDArray[np.int64]:
    """Assign each film to one of `count` folds.

    Within each label and series, patients are sorted by number and divided into `count` blocks of
    about the same number of films. Groups stay together (see `dataset.groups`).

    Returns:
        (n,) fold numbers from 0.

    Raises:
        ValueError: `count` is below 2, or a fold would lack a label.
    """
    if count < 2:
        raise ValueError(f"count must be at least 2. Received: {count}.")
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups(films)):
        members[group].append(index)
    strata: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for indices in members.values():
        kinds = sorted({f"{films[i].label}/{films[i].series}" for i in indices})
        strata[tuple(kinds)].append(indices)
    folds = np.empty(len(films), np.int64)
    for parts in strata.values():
        parts.sort(key=lambda indices: _natural(films[indices[0]].patient))
        total, before = sum(map(len, parts)), 0
        for indices in parts:
            folds[indices] = min(count - 1, count * before // total)
            before += len(indices)
    _require_both_labels(films, folds, count)
    return folds


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts `person9` before `person10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _require_both_labels(
    films: Sequence[FilmRecord], folds: npt.NDArray[np.int64], count: int
) -> None:
    for fold in range(count):
        if len({films[i].label for i in np.flatnonzero(folds == fold).tolist()}) != 2:
            raise ValueError(
                f"Too few patients for {count} folds: one lacks a label. Train fewer members."
            )
