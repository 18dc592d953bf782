"""Hashes of the pixels of films that were read before these were stored."""

from collections.abc import Iterator

from django.db.models import QuerySet

from diagnosis.models import Reading
from diagnosis.services.films import FilmMissingError, original_film, pixels_sha256
from mlcore.decoding import decode_film
from mlcore.engine.films.film import FilmError


def hash_missing(*, limit: int | None = None) -> Iterator[tuple[str, str | None]]:
    """Store the missing hashes, one file after the other.

    The audit log does not record it: the hash is computed from the film, which does not change.

    Args:
        limit: number of files; None for all.

    Yields:
        The SHA-256 of each file, and why it could not be read; None if it was.
    """
    last, seen = "", 0
    while limit is None or seen < limit:
        reading = _unhashed().filter(film_sha256__gt=last).order_by("film_sha256").first()
        if reading is None:
            return
        last, seen = reading.film_sha256, seen + 1
        yield last, _hash(reading)


def _unhashed() -> QuerySet[Reading]:
    return Reading.objects.filter(film_pixels_sha256="").defer("activation_map")


def _hash(reading: Reading) -> str | None:
    try:
        film = decode_film(original_film(reading))
    except FilmMissingError:
        return "the file is missing or altered"
    except FilmError as error:
        return str(error)
    same = _unhashed().filter(film_sha256=reading.film_sha256)
    same.update(film_pixels_sha256=pixels_sha256(film))
    return None
