"""Films outside the population, by source, for training and testing the scope gate."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine.data.dataset import identify
from mlcore.engine.films.film import FilmError, read_film
from mlcore.engine.serving.preprocess import Preprocessing, squash

Films = npt.NDArray[np.uint8]

# Fraction of patients outside the population that is held out for testing the gate.
TEST_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class OutlierFilms:
    """Films outside the population.

    Attributes:
        films: (n, side, side) uint8, squashed.
        source: (n,) index into `names`.
        names: names of the sources, those of their folders.
        is_test: (n,) films of patients that are held out of training.
    """

    films: Films
    source: npt.NDArray[np.int64]
    names: tuple[str, ...]
    is_test: npt.NDArray[np.bool_]


def read(
    folders: Sequence[Path],
    *,
    spec: Preprocessing,
    seed: int,
    is_inside: Callable[[float], bool] = lambda _: False,
) -> OutlierFilms:
    """Read films from one folder per source; unreadable files are skipped.

    Args:
        folders: the sources. A CSV file in one may state, by the name of a film (`name` or
            `file`), its `patient` and the patient's `age` in years.
        spec: the preprocessing, for the squash.
        seed: decides which patients (see `dataset.identify`) are held out.
        is_inside: whether an age belongs to the population; films of these ages are left out.
    """
    films, patients, sources = [], [], []
    for number, folder in enumerate(folders):
        stated = _table(folder)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() == ".csv" or not path.is_file() or "lungs" in path.parts:
                continue
            row = stated.get(path.stem, {})
            age = _number(row.get("age"))
            if age is not None and is_inside(age):
                continue
            try:
                films.append(squash(read_film(path.read_bytes()).pixels, spec))
            except FilmError:
                continue
            patients.append(f"{number}/{row.get('patient') or identify(path.stem)[0]}")
            sources.append(number)
    side = spec.squash
    names = np.array(sorted(set(patients)))
    order = np.random.default_rng([seed, 13]).permutation(len(names))
    held_out = set(names[order[: round(TEST_SHARE * len(names))]].tolist())
    return OutlierFilms(
        films=np.stack(films) if films else np.empty((0, side, side), np.uint8),
        source=np.array(sources, np.int64),
        names=tuple(folder.name for folder in folders),
        is_test=np.array([patient in held_out for patient in patients], bool),
    )


def _table(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a folder's CSV files by the name of the film."""
    rows: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if name := row.get("name") or row.get("file"):
                    # Names without a suffix may contain dots.
                    rows[name] = rows[Path(name).stem] = row
    return rows


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
