"""Training and measuring the classifier that explains refusals."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine.serving.resemblance import CAUSES, CLASSES, Resemblance, features
from mlcore.engine.training import outliers

Films = Sequence[npt.NDArray[np.uint8]]
SIDE = 224
# Inverse strength of the L2 penalty; chosen by leaving one hospital's adults out.
PENALTY = 1e-3
LEAST = 0.8


def examples(inside: Films, adults: Films, *, seed: int) -> tuple[Films, npt.NDArray[np.intp]]:
    """Return films of every class, and their classes as indices of `CLASSES`.

    Rotated and cropped films are made from both populations. Images of other kinds are synthetic.

    Args:
        inside: films of the population, (SIDE, SIDE) uint8.
        adults: films of adults, (SIDE, SIDE) uint8.
        seed: seed of rotations, crops and synthetic images.
    """
    rng = np.random.default_rng(seed)
    both = [*inside, *adults]
    parts: list[Films] = [
        inside,
        adults,
        [outliers.rotated(film, rng) for film in both],
        [cropped(film, rng) for film in both],
        [outliers.synthetic(rng, size=SIDE) for _ in range(len(both) // 2)],
    ]
    films = [film for part in parts for film in part]
    return films, np.repeat(np.arange(len(CLASSES)), [len(part) for part in parts])


def cropped(film: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return a part of a film: a window of 30 to 60 % of each side, or about one half."""
    side = film.shape[0]
    share = int(side * rng.uniform(0.4, 0.6))
    kind = rng.integers(4)
    if kind < 2:
        window = int(side * rng.uniform(0.3, 0.6))
        top, left = rng.integers(0, side - window, 2)
        part = film[top : top + window, left : left + window]
    elif kind == 2:
        part = film[:, :share] if rng.random() < 0.5 else film[:, side - share :]
    else:
        part = film[:share] if rng.random() < 0.5 else film[side - share :]
    return np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.BICUBIC))


def fit(films: Films, classes: npt.NDArray[np.intp]) -> Resemblance:
    """Fit the classifier; every class has the same weight.

    Args:
        films: films of every class.
        classes: their classes, as indices of `CLASSES`.
    """
    from sklearn.linear_model import LogisticRegression

    x = np.stack([features(film) for film in films])
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    model = LogisticRegression(C=PENALTY, max_iter=500, class_weight="balanced")
    model.fit((x - mean) / deviation, classes)
    weights = model.coef_.T / deviation[:, np.newaxis]
    return Resemblance(weights, model.intercept_ - mean @ weights, LEAST)


def confusion(
    found: Resemblance,
    films: Films,
    classes: npt.NDArray[np.intp],
    is_refused: Callable[[npt.NDArray[np.uint8]], bool],
) -> dict[str, dict[str, int]]:
    """Count, for the films of each class that a model refuses, what each is said to resemble.

    Args:
        found: the classifier.
        films: films that it was not fitted on.
        classes: their classes, as indices of `CLASSES`.
        is_refused: whether the model's scope gate refuses a film.

    Returns:
        By class: "films", "refused", and the number for each of `CAUSES` and for "" (none).
    """
    table = {name: dict.fromkeys(("films", "refused", *CAUSES, ""), 0) for name in CLASSES}
    for film, index in zip(films, classes, strict=True):
        row = table[CLASSES[index]]
        row["films"] += 1
        if is_refused(film):
            row["refused"] += 1
            row[found.cause(film)] += 1
    return table
