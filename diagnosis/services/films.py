"""Stored films: the original bytes, and what is rendered from them."""

import hashlib
import logging

from django.db import connection

from diagnosis import storage
from diagnosis.models import Reading
from mlcore import inference
from mlcore.engine.films.film import read_film, render_film

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 160
VIEWER_SIDE = 1600


def lock_film(sha256: str) -> None:
    """Keeps other transactions from storing or forgetting the same film until this one ends.

    SQLite's IMMEDIATE transactions exclude each other already.
    """
    if connection.vendor == "postgresql":
        key = int.from_bytes(bytes.fromhex(sha256)[:8], "big", signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


class FilmMissingError(Exception):
    """The stored film is gone, or is not the film that was read."""


def original_film(reading: Reading) -> bytes:
    """Returns the film byte for byte as it came.

    Raises:
        FilmMissingError: if it is not in storage or its hash is another.
    """
    data = storage.read(storage.original_name(reading.film_sha256))
    if data is None or hashlib.sha256(data).hexdigest() != reading.film_sha256:
        logger.error("The film of reading %s is missing or altered.", reading.pk)
        raise FilmMissingError(str(reading.pk))
    return data


def film_rendering(reading: Reading, *, max_side: int) -> bytes:
    """Returns a re-encoded JPEG of the film, at most `max_side` pixels a side, made once.

    Raises:
        FilmMissingError: if the original is needed and cannot be had.
    """
    name = storage.rendering_name(reading.film_sha256, max_side)
    rendering = storage.read(name)
    if rendering is None:
        film = read_film(original_film(reading))
        rendering = render_film(film, max_side=max_side)
        storage.keep(name, rendering)
    return rendering


def heatmap(reading: Reading, *, max_side: int = 800) -> bytes:
    """Returns the activation map as a transparent PNG in the film's proportions."""
    scale = max_side / max(reading.film_width, reading.film_height)
    return inference.render_heatmap(
        inference.decode_activation_map(bytes(reading.activation_map)),
        max(1, round(reading.film_width * scale)),
        max(1, round(reading.film_height * scale)),
    )
