"""Lung masks that people drew: one PNG per film, in class folders like the films."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mlcore.engine.data.dataset import FilmRecord
from mlcore.engine.data.folders import DatasetError

# 255 lung, 127 unknown, 0 outside; values in between come from resizing.
UNKNOWN = 127
LEAST_LUNG, MOST_OUTSIDE = 191, 63

Masks = npt.NDArray[np.uint8]


def read(folder: Path, records: Sequence[FilmRecord], *, side: int) -> Masks:
    """Read the masks of films: `folder/LABEL/NAME.png` for a film named NAME.

    Args:
        folder: the folder of masks.
        records: n films.
        side: side of the result in pixels.

    Returns:
        (n, side, side) uint8; UNKNOWN everywhere for a film without a mask.

    Raises:
        DatasetError: no film has a mask, or a mask cannot be read.
    """
    masks = np.full((len(records), side, side), UNKNOWN, np.uint8)
    found = 0
    for place, record in enumerate(records):
        path = folder / record.label / f"{Path(record.path).stem}.png"
        if not path.is_file():
            continue
        found += 1
        try:
            with Image.open(path, formats=["PNG"]) as image:
                grey = image.convert("L")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DatasetError(f"The mask {path} cannot be read: {error}") from error
        if grey.size != (side, side):
            grey = grey.resize((side, side), Image.Resampling.NEAREST)
        masks[place] = np.asarray(grey)
    if not found:
        raise DatasetError(
            f"{folder} has no mask of any film. Expected, for example: "
            f"{folder / records[0].label / Path(records[0].path).stem}.png"
        )
    return masks


def known(masks: Masks) -> npt.NDArray[np.bool_]:
    """Return where (..., h, w) masks state whether a pixel is lung."""
    return (masks >= LEAST_LUNG) | (masks <= MOST_OUTSIDE)


def lung(masks: Masks) -> npt.NDArray[np.bool_]:
    """Return where (..., h, w) masks state that a pixel is lung."""
    return masks >= LEAST_LUNG


def have_lungs(masks: Masks) -> npt.NDArray[np.bool_]:
    """Return which of (n, h, w) masks show lungs."""
    return np.asarray(lung(masks).any(axis=(1, 2)))
