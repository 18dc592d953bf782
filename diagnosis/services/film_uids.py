"""The DICOM UIDs of films, and those of films read before they were stored."""

from collections.abc import Iterator

from django.db.models import QuerySet

from diagnosis.models import Reading
from diagnosis.services.films import FilmMissingError, original_film
from mlcore.decoding import decode_film
from mlcore.engine.films.film import FilmError
from mlcore.engine.films.header import DicomHeader


def of_header(header: DicomHeader | None) -> dict[str, str]:
    """Return the UIDs that a file states, by field of `Reading`; "" where it states none."""
    stated = header or DicomHeader()
    return {
        "film_study_uid": stated.study_instance_uid or "",
        "film_series_uid": stated.series_instance_uid or "",
        "film_instance_uid": stated.sop_instance_uid or "",
        "film_sop_class_uid": stated.sop_class_uid or "",
    }


def fill_missing(*, limit: int | None = None) -> Iterator[tuple[str, str | None]]:
    """Store the missing UIDs, one file after the other.

    The audit log does not record it: the UIDs are in the film, which does not change. Files that
    state no UID are read again each time.

    Args:
        limit: number of files; None for all.

    Yields:
        The SHA-256 of each file, and why it could not be read; None if it was.
    """
    last, seen = "", 0
    while limit is None or seen < limit:
        reading = _without().filter(film_sha256__gt=last).order_by("film_sha256").first()
        if reading is None:
            return
        last, seen = reading.film_sha256, seen + 1
        yield last, _fill(reading)


def _without() -> QuerySet[Reading]:
    found = Reading.objects.filter(film_format="DICOM", film_instance_uid="")
    return found.defer("activation_map")


def _fill(reading: Reading) -> str | None:
    try:
        film = decode_film(original_film(reading))
    except FilmMissingError:
        return "the file is missing or altered"
    except FilmError as error:
        return str(error)
    same = _without().filter(film_sha256=reading.film_sha256)
    same.update(**of_header(film.header))
    return None
