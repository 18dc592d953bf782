"""What a page says about a reading's heatmap."""

import io

import numpy as np
from PIL import Image

from diagnosis.models import Reading
from diagnosis.services.films import THUMBNAIL_SIDE, FilmMissingError, film_rendering
from mlcore import inference

UNKNOWN = "unknown"


def heatmap_place(reading: Reading) -> str:
    """Return where the evidence of a reading's heatmap seems to lie.

    Returns:
        A value of `inference.heatmap_place`; "" for a reading out of scope, which has no heatmap;
        `UNKNOWN` if the film is missing.
    """
    if reading.is_out_of_scope:
        return ""
    try:
        thumbnail = film_rendering(reading, max_side=THUMBNAIL_SIDE)
    except FilmMissingError:
        return UNKNOWN
    with Image.open(io.BytesIO(thumbnail), formats=["JPEG"]) as image:
        pixels = np.asarray(image.convert("L"))
    evidence = inference.decode_activation_map(bytes(reading.activation_map))
    return inference.heatmap_place(pixels, evidence)
