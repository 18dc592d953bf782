"""Measurements of films for the audit, and criteria for files that may not be radiographs.

The limits of `doubts` are far from all available films: none of 5,216 paediatric and 523 adult
films exceeds one. `docs/auditing.md` states the margins.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine import metrics
from mlcore.engine.films.film import Film

GRID = 36
# Four of 36 cells are 11 % of the side: 24 pixels of 224.
FRAME_CELLS = 4
FOLDS = 5

MAX_CHROMA = 8.0
MIN_SPREAD = 10.0
MIN_LEVELS = 64
MAX_COMMONEST = 0.70
MIN_ROW_AGREEMENT = 0.80

_BLACK = 8
_COMMONEST = 16
_THUMBNAIL = 64


@dataclass(frozen=True, eq=False)
class Measures:
    """Measurements of one film.

    Attributes:
        width, height: in pixels, upright.
        mean, spread: mean and standard deviation of the grey levels, 0 to 255.
        chroma: mean difference between the strongest and weakest colour channel, 0 to 255.
        levels: number of grey levels with at least one pixel in ten thousand.
        commonest: fraction of non-black pixels that have one of the 16 most common levels.
        row_agreement: mean correlation of neighbouring rows of a 64x64 thumbnail.
        grid: (36, 36) uint8, the film averaged to cells, ignoring its aspect ratio.
    """

    width: int
    height: int
    mean: float
    spread: float
    chroma: float
    levels: int
    commonest: float
    row_agreement: float
    grid: npt.NDArray[np.uint8] = field(repr=False)

    @property
    def aspect(self) -> float:
        """The aspect ratio, width divided by height."""
        return self.width / self.height


@dataclass(frozen=True)
class Doubt:
    """A reason why a readable file may not be a radiograph."""

    code: str
    reason: str


def measure(film: Film, data: bytes) -> Measures:
    """Measure a film; `data` is the file's content, which still has the colours."""
    counts = np.bincount(film.pixels.ravel(), minlength=256)
    total = film.pixels.size
    levels = np.arange(256)
    mean = float(counts @ levels / total)
    lit = np.sort(counts[_BLACK + 1 :])[::-1]
    image = Image.fromarray(film.pixels)
    return Measures(
        width=film.width,
        height=film.height,
        mean=mean,
        spread=float(np.sqrt(counts @ (levels - mean) ** 2 / total)),
        chroma=_chroma(data, film),
        levels=int((counts >= max(1, total // 10_000)).sum()),
        commonest=float(lit[:_COMMONEST].sum() / max(1, lit.sum())),
        row_agreement=_row_agreement(image),
        grid=np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX)),
    )


def _chroma(data: bytes, film: Film) -> float:
    if film.format == "DICOM":
        return 0.0
    try:
        with Image.open(io.BytesIO(data), formats=[film.format]) as image:
            if image.mode in ("L", "LA", "1", "I", "F") or image.mode.startswith("I;16"):
                return 0.0
            image.draft("RGB", (4 * _THUMBNAIL, 4 * _THUMBNAIL))
            small = image.convert("RGB").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, UserWarning):
        # The file is readable in grey; unreadable colour is not a finding.
        return 0.0
    channels = np.asarray(small, np.int16)
    return float(np.mean(channels.max(axis=-1) - channels.min(axis=-1)))


def _row_agreement(image: Image.Image) -> float:
    small = image.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    rows = np.asarray(small, np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt((rows**2).mean(axis=1))
    products = (rows[1:] * rows[:-1]).mean(axis=1)
    both = length[1:] * length[:-1]
    # Constant rows, such as a collimator's shadow, correlate with anything.
    varies = both > 1.0
    return float((products[varies] / both[varies]).mean()) if varies.sum() >= 8 else 1.0


def doubts(measures: Measures) -> tuple[Doubt, ...]:
    """Return reasons why a film may not be a radiograph; empty if it looks like one.

    These inexpensive criteria detect colour photographs, drawings, text, noise and CT slices, but
    not greyscale photographs or other body parts. DICOM files of other modalities and long strips
    are already refused by `read_film`.
    """
    m = measures
    tests = (
        ("colour", m.chroma > MAX_CHROMA,
         f"in colour: channels differ by {m.chroma:.0f} of 255 levels"),
        ("even", m.spread < MIN_SPREAD,
         f"almost one grey: the levels spread by {m.spread:.1f} of 255"),
        ("few_levels", m.levels < MIN_LEVELS or m.commonest > MAX_COMMONEST,
         f"few greys, as in drawings and text: {m.levels} levels in use, the 16 commonest hold "
         f"{m.commonest:.0%} of what is not black"),
        ("scattered", m.row_agreement < MIN_ROW_AGREEMENT,
         f"no continuous picture: neighbouring rows correlate by {m.row_agreement:.2f} only"),
    )  # fmt: skip
    return tuple(Doubt(code, reason) for code, doubtful, reason in tests if doubtful)


def frames_of(measured: Sequence[Measures]) -> npt.NDArray[np.float64]:
    """Return (n, 512): the outer cells of each film, which do not show the lungs."""
    outer = np.ones((GRID, GRID), bool)
    outer[FRAME_CELLS:-FRAME_CELLS, FRAME_CELLS:-FRAME_CELLS] = False
    return np.stack([entry.grid for entry in measured])[:, outer].astype(np.float64)


def frame_scores(
    frames: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    *,
    seed: int = 0,
) -> tuple[npt.NDArray[np.float64], int]:
    """Return out-of-fold scores of a logistic regression on the frames.

    Args:
        frames: (n, d), the result of `frames_of`.
        labels: (n,) 0 or 1.
        groups: (n,) group numbers; a group is never split between folds.
        seed: seed of the folds.

    Returns:
        Scores (n,), NaN with too few groups, and the number of folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    undefined = np.full(len(labels), np.nan)
    folds = min(FOLDS, *(len(np.unique(groups[labels == value])) for value in (0, 1)))
    if folds < 2:
        return undefined, 0
    scores = np.empty(len(labels))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fit, held_out in splitter.split(frames, labels, groups):
        if len(np.unique(labels[fit])) < 2:
            return undefined, 0
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=200, solver="newton-cholesky")
        )
        model.fit(frames[fit], labels[fit])
        scores[held_out] = model.decision_function(frames[held_out])
    return scores, folds


def auc_either_way(labels: npt.NDArray[np.int64], values: Sequence[float]) -> dict[str, Any]:
    """Return how well one quantity separates the classes, in either direction.

    Returns:
        `auc` from 0.5 to 1, and `higher_in`: 0, 1 or None.
    """
    area = metrics.auc(labels, np.asarray(values))
    return {"auc": max(area, 1 - area), "higher_in": None if area == 0.5 else int(area > 0.5)}
