"""What a decoder process does for DICOMweb; it runs without Django's settings."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.decoding_task import allow
from mlcore.engine.films.budget import listening
from mlcore.engine.films.dicom.pixels import decode
from mlcore.engine.films.dicom.reader import opened
from mlcore.engine.films.encoded import error_of
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import read_plane
from mlcore.engine.films.plane import Plane

Reply = tuple[dict[str, Any], Any]


def native(arguments: dict[str, Any], data: bytes) -> Reply:
    """Decompress the frame of a DICOM file.

    Args:
        arguments: `max_bytes` and `max_pixels`.
        data: the file.

    Returns:
        `bits` (allocated), `samples`, `photometric` and `is_signed`, and the values in little
        endian, colours by pixel.
    """
    with listening(allow):
        try:
            stored, photometric = decode(opened(data, **arguments)[0])
        except FilmError as error:
            return error_of(error), b""
    facts = {
        "bits": 8 * stored.dtype.itemsize,
        "samples": stored.shape[2] if stored.ndim == 3 else 1,
        "photometric": photometric,
        "is_signed": stored.dtype.kind == "i",
    }
    little = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    return facts, np.ascontiguousarray(little).tobytes()


def rendered(arguments: dict[str, Any], data: bytes) -> Reply:
    """Render a film as a picture.

    Args:
        arguments: `max_bytes`, `max_pixels`; `window` (centre, width, function in modality units)
            or None for the film as pages show it; `region` (left, top, width, height in pixels) or
            None; `size` (the box that the picture has to fit in) or None; `format` (JPEG or PNG);
            `quality` of JPEG.
        data: the file.
    """
    limits = {name: arguments[name] for name in ("max_bytes", "max_pixels")}
    with listening(allow):
        try:
            plane = read_plane(data, **limits)
        except FilmError as error:
            return error_of(error), b""
    window = arguments["window"]
    image = Image.fromarray(windowed(plane, *window) if window else plane.shown)
    if arguments["region"]:
        left, top, width, height = arguments["region"]
        image = image.crop((left, top, left + width, top + height))
    if arguments["size"]:
        image = _fitted(image, *arguments["size"])
    buffer = io.BytesIO()
    options = {"quality": arguments["quality"]} if arguments["format"] == "JPEG" else {}
    image.save(buffer, arguments["format"], **options)
    return {"size": image.size}, buffer.getvalue()


def windowed(plane: Plane, centre: float, width: float, function: str) -> npt.NDArray[np.uint8]:
    """Return the film in 8 bits through a window (PS3.3, C.11.2.1.2 and C.11.2.1.3).

    Args:
        plane: the film.
        centre, width: in modality units.
        function: LINEAR, LINEAR_EXACT or SIGMOID.
    """
    places = np.arange(plane.levels, dtype=np.float64)
    units = plane.slope * places + plane.intercept
    if function == "SIGMOID":
        levels = 255 / (1 + np.exp(np.clip(-4 * (units - centre) / width, -700, 700)))
    else:
        offset, span = (0.5, max(width - 1, 1e-9)) if function == "LINEAR" else (0.0, width)
        levels = ((units - (centre - offset)) / span + 0.5) * 255
    table = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    if plane.slope < 0:  # low units are white
        table = 255 - table
    if plane.padding:
        table[plane.padding[0] : plane.padding[1] + 1] = 0
    return table[plane.values]


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS) if size != image.size else image
