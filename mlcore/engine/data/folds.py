"""Cuts films into folds whose patients are neighbours in number: batches of another time.

Numbers were given as films came in, so a block of consecutive patients was taken under other
settings than the rest. A network judged on a block it never saw is judged a little as it will be
on films drawn elsewhere; a random fold would flatter it.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import FilmRecord, groups


def blocks(films: Sequence[FilmRecord], count: int) -> npt.NDArray[np.int64]:
    """Assigns each film to one of `count` folds.

    Within each label and series, patients are sorted by their number and cut into `count` runs of
    about as many films. Patients, copies and near-copies stay together (see `dataset.groups`).

    Returns:
        (n,) fold numbers from 0.

    Raises:
        ValueError: fewer than two folds, or a fold would lack a label.
    """
    if count < 2:
        raise ValueError(f"At least two folds are needed. Received: {count}.")
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
    """Sorts `person9` before `person10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _require_both_labels(
    films: Sequence[FilmRecord], folds: npt.NDArray[np.int64], count: int
) -> None:
    for fold in range(count):
        if len({films[i].label for i in np.flatnonzero(folds == fold).tolist()}) != 2:
            raise ValueError(
                f"Too few patients for {count} folds: one would lack a label. Train fewer members."
            )
