"""Colour images of 16 bits per sample, as grey of 16 bits.

Pillow keeps the high byte of each sample. It takes the other one if the byte order in the name of
the layout is exchanged, so that two passes give both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.ImageFile import ImageFile

# The layout that keeps the other byte; N is the byte order of this machine, little endian.
_EXCHANGED = {"B": "L", "L": "B", "N": "B"}
# Grey with alpha has no layout that keeps the low byte: its four bytes are read as RGBA.
_GREY_WITH_ALPHA = "LA;16B"


def has_deep_colours(image: ImageFile) -> bool:
    """Return whether an image that is not loaded yet has several samples of 16 bits per pixel."""
    several = len(image.getbands()) > 1
    return several and bool(image.tile) and all(";16" in _layout(t.args) for t in image.tile)


def luma_of_colours(image: ImageFile, again: ImageFile) -> npt.NDArray[np.uint16]:
    """Decode a 16-bit colour image to 16-bit grey.

    Args:
        image: the image, not loaded; it is loaded afterwards.
        again: the same image, opened a second time.
    """
    if _layout(image.tile[0].args) == _GREY_WITH_ALPHA:
        _set_layout(again, "RGBA")
        pairs = np.asarray(again).view(">u2")
        image.load()
        return _over_black(pairs[..., 0], pairs[..., 1])
    layout = _layout(again.tile[0].args)
    _set_layout(again, layout[:-1] + _EXCHANGED[layout[-1]])
    high, low = np.asarray(image), np.asarray(again)
    plane = _luma(high, low)
    if high.shape[2] == 4 and image.mode == "RGBA":
        plane = _over_black(plane, _joined(high[..., 3], low[..., 3]))
    return plane


def _luma(high: npt.NDArray[np.uint8], low: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """Return the Rec. 601 luma; equal samples keep their value."""
    total = np.full(high.shape[:2], 0x8000, np.uint32)
    for band, weight in enumerate((19595, 38470, 7471)):
        total += np.uint32(weight) * _joined(high[..., band], low[..., band])
    return (total >> np.uint32(16)).astype(np.uint16)


def _joined(high: npt.NDArray[np.uint8], low: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    return high.astype(np.uint16) << np.uint16(8) | low


def _over_black(
    plane: npt.NDArray[np.uint16], alpha: npt.NDArray[np.uint16]
) -> npt.NDArray[np.uint16]:
    return (plane.astype(np.uint32) * alpha // np.uint32(65535)).astype(np.uint16)


def _layout(arguments: Any) -> str:
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _set_layout(image: ImageFile, layout: str) -> None:
    image.tile = [
        tile._replace(args=(layout, *tile.args[1:]) if isinstance(tile.args, tuple) else layout)
        for tile in image.tile
    ]
