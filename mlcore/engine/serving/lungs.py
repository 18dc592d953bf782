"""The lungs on a film: where they are, and what their outline says about the film.

A segmentation network marks the lungs on the whole film. Only the lungs and a narrow margin reach
the network that reads the film, so that markers, borders and equipment elsewhere have no direct
influence.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

SIDE = 224  # of the film that everything here refers to, squashed to a square
LUNG = 128  # of 255, the probability from which a pixel is lung

# Findings. Those in REFUSED leave nothing to read; the others are hints for the technologist.
NO_LUNGS, ONE_LUNG = "no_lungs", "one_lung"
CUT_OFF, TOO_SMALL, TILTED = "cut_off", "too_small", "tilted"
OVEREXPOSED, UNDEREXPOSED = "overexposed", "underexposed"
REFUSED = (NO_LUNGS, ONE_LUNG)
HINTS = (CUT_OFF, TOO_SMALL, TILTED, OVEREXPOSED, UNDEREXPOSED)

# Limits, as shares of the side unless stated. Of 5,209 masks that people drew on films of children
# of the public set, none has an area below .139 or a smaller lung below .49 of the larger.
LEAST_AREA = 0.06  # of the film
LEAST_RATIO = 0.25  # of the smaller lung to the larger
LEAST_SIDE = 0.4  # width and height of both lungs together
MOST_ON_EDGE = {"top": 0.4, "bottom": 0.15, "left": 0.03, "right": 0.03}
MOST_TILT = 15.0  # degrees
# Grey levels that show nothing, and the share of the lungs that may have them.
BLACK, WHITE = 3, 252
MOST_CLIPPED = 0.25

Mask = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Lungs:
    """The lungs on a film.

    Attributes:
        mask: (SIDE, SIDE) uint8, 255 in the lungs and 0 elsewhere; the two largest regions.
        box: left, top, right and bottom of the lungs, in pixels of the mask; the whole film if
            no lungs are found.
        findings: those of `REFUSED` and `HINTS` that apply, in this order.
    """

    mask: Mask
    box: Box
    findings: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """The first finding that leaves nothing to read, or ""."""
        return next((name for name in self.findings if name in REFUSED), "")

    @property
    def hints(self) -> tuple[str, ...]:
        """The findings that the film can be read with."""
        return tuple(name for name in self.findings if name in HINTS)

    @property
    def are_readable(self) -> bool:
        """Whether both lungs are there."""
        return not self.refusal


def find(probability: npt.NDArray[np.floating], film: Mask) -> Lungs:
    """Find the lungs from the output of the segmentation network.

    Args:
        probability: (h, w) in [0, 1] that a cell is lung.
        film: (SIDE, SIDE), the squashed film, for its exposure.
    """
    cells = Image.fromarray(np.rint(255 * np.asarray(probability)).astype(np.uint8))
    fine = np.asarray(cells.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    regions = _largest_two(fine >= LUNG)
    mask = np.where(sum(regions, start=np.zeros((SIDE, SIDE), bool)), 255, 0).astype(np.uint8)
    if not regions:
        return Lungs(mask, (0.0, 0.0, float(SIDE), float(SIDE)), (NO_LUNGS,))
    box = bounding_box(mask)
    return Lungs(mask, box, tuple(_findings(regions, mask, box, film)))


def _largest_two(lung: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    from scipy import ndimage

    numbered, count = ndimage.label(lung)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[:2]
    return [numbered == place + 1 for place in order.tolist()]


def bounding_box(mask: npt.NDArray[Any]) -> Box:
    """Return left, top, right and bottom of the non-zero pixels of a mask that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _findings(regions: list[npt.NDArray[np.bool_]], mask: Mask, box: Box, film: Mask) -> list[str]:
    left, top, right, bottom = box
    sizes = [float(region.mean()) for region in regions]
    edges = {"top": mask[0], "bottom": mask[-1], "left": mask[:, 0], "right": mask[:, -1]}
    inside = film[mask > 0]
    if sum(sizes) < LEAST_AREA:
        return [NO_LUNGS]
    applies = {
        ONE_LUNG: len(sizes) < 2 or sizes[1] < LEAST_RATIO * sizes[0],
        CUT_OFF: any(edges[name].mean() / 255 > most for name, most in MOST_ON_EDGE.items()),
        TOO_SMALL: min(right - left, bottom - top) < LEAST_SIDE * SIDE,
        TILTED: len(sizes) == 2 and abs(_tilt(*regions)) > MOST_TILT,
        OVEREXPOSED: float((inside <= BLACK).mean()) > MOST_CLIPPED,
        UNDEREXPOSED: float((inside >= WHITE).mean()) > MOST_CLIPPED,
    }
    return [name for name, is_so in applies.items() if is_so]


def _tilt(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Return the angle in degrees between the line through both lungs' centres and a row."""
    (y1, x1), (y2, x2) = (np.argwhere(region).mean(axis=0) for region in (first, second))
    return float(np.degrees(np.arctan((y2 - y1) / max(abs(x2 - x1), 1e-6))))


def weights(lungs: Lungs, *, grow: float) -> Mask:
    """Return how much each pixel counts: 255 in the lungs, falling to 0 outside.

    Args:
        lungs: the lungs.
        grow: distance from the lungs at which the weight reaches 0, as a share of the side.

    Returns:
        (SIDE, SIDE) uint8. Exactly 0 beyond the distance, measured along rows and columns.
    """
    return soften(lungs.mask, radius_of(grow))


def radius_of(grow: float) -> int:
    """Return a share of the side in pixels."""
    return round(grow * SIDE)


def soften(mask: Mask, radius: int) -> Mask:
    """Return the weights of a (SIDE, SIDE) mask that fall to 0 `radius` pixels outside it."""
    blurred = Image.fromarray(mask).filter(ImageFilter.BoxBlur(radius))
    # Half the pixels around a straight edge are lung. Three times the blurred mask is 255 up to a
    # third of the distance outside.
    return np.asarray(blurred.point([min(255, 3 * value) for value in range(256)]))


def expand(box: Box, margin: float) -> Box:
    """Return a box with a margin on each side, as a share of its width and height."""
    left, top, right, bottom = box
    x, y = margin * (right - left), margin * (bottom - top)
    return left - x, top - y, right + x, bottom + y
