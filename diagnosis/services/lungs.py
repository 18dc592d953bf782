"""The outline of the lungs on a reading's film, by the model that made the reading."""

from diagnosis.models import Reading
from diagnosis.services.films import original_film
from mlcore import inference
from mlcore.decoding import decode_film
from mlcore.inference import ModelUnavailable

AVAILABLE, NOT_FOUND_BY_MODEL, NOT_REGISTERED = "available", "whole film", "not registered"
OUTLINE_SIDE = 1200


def outline_state(reading: Reading) -> str:
    """Return whether the lungs can be outlined.

    Returns:
        `AVAILABLE`; `NOT_FOUND_BY_MODEL` if the reading's model reads whole films;
        `NOT_REGISTERED` if the bundle that made the reading is not registered any more.
    """
    if not inference.reads_lungs(reading.preprocessing_id):
        return NOT_FOUND_BY_MODEL
    return AVAILABLE if reading.card is not None else NOT_REGISTERED


def lung_outline(reading: Reading) -> bytes:
    """Find the lungs again, with the reading's own model, and return their outline.

    Returns:
        A transparent PNG in the film's aspect ratio; without a line if no lungs were found.

    Raises:
        FilmMissingError: the stored film is missing or altered.
        ModelUnavailable: the bundle is not registered, missing or damaged, or finds no lungs.
    """
    model = inference.model_named(reading.model_name, sha256=reading.bundle_sha256)
    film = decode_film(original_film(reading))
    mask = inference.lung_mask(film, model=model)
    if mask is None:
        raise ModelUnavailable("missing", f"{model.name} reads whole films")
    scale = OUTLINE_SIDE / max(film.width, film.height)
    size = max(1, round(film.width * scale)), max(1, round(film.height * scale))
    return inference.render_outline(mask, *size)
