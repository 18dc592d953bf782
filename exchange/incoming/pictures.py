"""X-rays that have not been read, as images for the supervisors."""

from django.core.exceptions import ValidationError

from diagnosis import storage
from diagnosis.services.films import VIEWER_SIDE, FilmMissingError
from diagnosis.validators import validate_film_bytes
from exchange.incoming.models import Arrival
from mlcore.engine.films.film import render_film


def picture_of(arrival: Arrival) -> bytes:
    """Return an X-ray as a JPEG without metadata.

    Raises:
        FilmMissingError: it is not in storage, or cannot be decoded.
    """
    data = storage.read(arrival.storage_name) if arrival.is_stored else None
    if data is None:
        raise FilmMissingError(str(arrival.pk))
    try:
        return render_film(validate_film_bytes(data, "").film, max_side=VIEWER_SIDE)
    except ValidationError as error:
        raise FilmMissingError(str(arrival.pk)) from error
