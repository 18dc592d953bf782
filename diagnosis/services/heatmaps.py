"""What a page says about a reading's heatmap."""

import io

import numpy as np
from PIL import Image

from diagnosis.models import Reading
from diagnosis.services.films import THUMBNAIL_SIDE, FilmMissingError, film_rendering
from mlcore import inference

UNKNOWN, LUNGS_ONLY = "unknown", "lungs only"


def heatmap_place(reading: Reading) -> str:
    """Return where the evidence of a reading's heatmap seems to lie.

    Returns:
        A value of `inference.heatmap_place`; "" for a reading out of scope, which has no heatmap;
        `LUNGS_ONLY` if the model saw nothing else; `UNKNOWN` if the film is missing.
    """
    if reading.is_out_of_scope:
        return ""
    evidence = inference.decode_activation_map(bytes(reading.activation_map))
    if inference.reads_lungs(reading.preprocessing_id):
        return LUNGS_ONLY if inference.shows_evidence(evidence) else inference.NOWHERE
    try:
        thumbnail = film_rendering(reading, max_side=THUMBNAIL_SIDE)
    except FilmMissingError:
        return UNKNOWN
    with Image.open(io.BytesIO(thumbnail), formats=["JPEG"]) as image:
        pixels = np.asarray(image.convert("L"))
    return inference.heatmap_place(pixels, evidence)
