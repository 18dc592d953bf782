"""Heatmaps: from the class-activation map to the overlay on the film.

The evidence map contains local log-odds whose mean is the film's log-odds. It is displayed relative
to films without pneumonia at the same position, on the same scale for every film: the map of a
normal film stays clear instead of being stretched until something looks hot.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Map = npt.NDArray[np.float32]

# (level, red, green, blue, opacity). Low levels are transparent. Luminance increases with the
# level, and the hues are distinguishable for colour-blind readers.
_STOPS = np.array(
    [
        [0.00, 30, 60, 160, 0],
        [0.25, 40, 90, 200, 0],
        [0.45, 60, 150, 220, 110],
        [0.60, 250, 210, 60, 170],
        [0.80, 250, 130, 30, 205],
        [1.00, 225, 30, 40, 230],
    ],
    np.float64,
)
_TABLE = np.stack(
    [np.interp(np.arange(256) / 255, _STOPS[:, 0], _STOPS[:, c]) for c in range(1, 5)], axis=-1
).astype(np.uint8)

# Three pixels, half of them inside.
_LINE = (ImageFilter.MaxFilter(3), ImageFilter.MinFilter(3))
_LINE_COLOUR = (90, 240, 150)


@dataclass(frozen=True, eq=False)
class Reference:
    """The distribution of local log-odds in films without pneumonia, per cell.

    The local log-odds have a different baseline at each position, for example over the bed, the
    arms and the abdomen. Evidence is what exceeds this baseline.

    Attributes:
        mean: (h, w) mean local log-odds over validation films labelled NORMAL.
        spread: (h, w) their standard deviation.
        low, high: standard deviations above the mean at which evidence starts and saturates.
    """

    mean: npt.NDArray[Any]
    spread: npt.NDArray[Any]
    low: float = 1.0
    high: float = 6.0

    @classmethod
    def fit(cls, evidence: npt.NDArray[Any]) -> "Reference":
        """Fit the reference to (n, h, w) local log-odds of films without pneumonia."""
        spread = evidence.std(axis=0)
        # In a cell that hardly varies, a tiny difference would count as evidence.
        return cls(evidence.mean(axis=0), np.maximum(spread, 0.25 * np.median(spread) + 1e-6))

    def to_card(self) -> dict[str, Any]:
        """Return the card's `explanation`."""
        return {
            "method": (
                "class-activation map: local log-odds, in standard deviations above the mean of "
                "validation films labelled NORMAL at the same place"
            ),
            "low": self.low,
            "high": self.high,
            "mean": np.round(self.mean.astype(float), 4).tolist(),
            "spread": np.round(self.spread.astype(float), 4).tolist(),
        }

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> "Reference":
        """Read `card["explanation"]`."""
        return cls(np.array(entry["mean"]), np.array(entry["spread"]), entry["low"], entry["high"])

    def local_evidence(self, evidence: npt.ArrayLike) -> Map:
        """Convert local log-odds to the evidence that is displayed.

        Args:
            evidence: (h, w) local log-odds, whose mean is the film's log-odds.

        Returns:
            (h, w) float32 in [0, 1]: 0 up to `low` standard deviations, 1 from `high`.
        """
        beyond = (np.asarray(evidence) - self.mean) / self.spread
        return np.clip((beyond - self.low) / (self.high - self.low), 0, 1).astype(np.float32)


def encode_activation_map(values: npt.ArrayLike) -> bytes:
    """Encode a (h, w) map in [0, 1] as an 8-bit greyscale PNG, in steps of 1/255.

    Raises:
        ValueError: the map is not two-dimensional or has values outside [0, 1].
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not np.all((array >= 0) & (array <= 1)):
        raise ValueError(f"Expected a (h, w) map in [0, 1]. Received shape {array.shape}.")
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * array).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def decode_activation_map(data: bytes) -> Map:
    """Return the (h, w) float32 map that `encode_activation_map` stored."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return np.asarray(image, np.float32) / np.float32(255)


def render_heatmap(values: npt.ArrayLike, width: int, height: int) -> bytes:
    """Render a map as an overlay for the film; areas without evidence are transparent.

    Args:
        values: (h, w) in [0, 1].
        width, height: size of the overlay in pixels.

    Returns:
        An RGBA PNG.
    """
    cells = Image.fromarray(np.asarray(values, np.float32))
    smooth = np.asarray(cells.resize((width, height), Image.Resampling.BICUBIC))
    levels = np.rint(255 * np.clip(smooth, 0, 1)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(_TABLE[levels], "RGBA").save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def render_outline(mask: npt.NDArray[np.uint8], width: int, height: int) -> bytes:
    """Render the outline of a mask as an overlay for the film, in a colour that no heatmap has.

    Args:
        mask: (h, w), 255 inside and 0 outside.
        width, height: size of the overlay in pixels.

    Returns:
        An RGBA PNG, transparent but for the line.
    """
    cells = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(1.5))
    smooth = cells.resize((width, height), Image.Resampling.BICUBIC)
    inside = smooth.point([0] * 128 + [255] * 128)
    wide, narrow = (np.asarray(inside.filter(size)) for size in _LINE)
    overlay = np.zeros((height, width, 4), np.uint8)
    overlay[..., :3] = _LINE_COLOUR
    overlay[..., 3] = np.where(wide > narrow, 255, 0)
    buffer = io.BytesIO()
    Image.fromarray(overlay, "RGBA").save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
