"""Stored films: the original file, and the images rendered from it."""

import hashlib
import logging
from dataclasses import dataclass

from django.db import connection

from diagnosis import storage
from diagnosis.models import Reading
from mlcore import inference
from mlcore.decoding import decode_film
from mlcore.engine.films.film import Film, render_film

logger = logging.getLogger(__name__)

# Longest side in pixels.
THUMBNAIL_SIDE = 160
VIEWER_SIDE = 1600
HEATMAP_SIDE = 800


# By `Film.format`.
MIME_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "DICOM": "application/dicom",
}
UNKNOWN_MIME_TYPE = "application/octet-stream"


class FilmMissingError(Exception):
    """Raised when a stored film is gone, or is no longer the file that was read."""


@dataclass(frozen=True)
class FilmHashes:
    """The hashes that a film is recognised by: of the file, and of its pixels."""

    file: str
    pixels: str


def hashes_of(film: Film) -> FilmHashes:
    """Return the hashes that a film is recognised by."""
    return FilmHashes(film.sha256, pixels_sha256(film))


def lock_film(sha256: str) -> None:
    """Block other transactions from storing or removing the same film until this one ends.

    Does nothing on SQLite, whose IMMEDIATE transactions exclude each other anyway.
    """
    if connection.vendor == "postgresql":
        key = int.from_bytes(bytes.fromhex(sha256)[:8], "big", signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def pixels_sha256(film: Film) -> str:
    """Return the SHA-256 of a film's size and decoded pixels.

    It is the same for every lossless copy of a picture, whatever the file around it. A decoder
    that maps grey levels differently gives another one, so it finds copies and proves nothing.
    """
    digest = hashlib.sha256(f"{film.height}x{film.width}:".encode())
    digest.update(film.pixels.tobytes())
    return digest.hexdigest()


def file_names(sha256: str) -> list[str]:
    """Return the storage names of everything that is kept of a film."""
    sides = (VIEWER_SIDE, THUMBNAIL_SIDE)
    return [
        storage.original_name(sha256),
        *(storage.rendering_name(sha256, side) for side in sides),
    ]


def render_all(film: Film) -> dict[str, bytes]:
    """Render a decoded film for the viewer and as a thumbnail.

    Returns:
        By storage name, a JPEG without metadata.
    """
    return {
        storage.rendering_name(film.sha256, side): render_film(film, max_side=side)
        for side in (VIEWER_SIDE, THUMBNAIL_SIDE)
    }


def original_film(reading: Reading) -> bytes:
    """Return the uploaded file, byte for byte.

    Raises:
        FilmMissingError: the file is not in storage, or its hash differs from the reading's.
    """
    data = storage.read(storage.original_name(reading.film_sha256))
    if data is None or hashlib.sha256(data).hexdigest() != reading.film_sha256:
        logger.error("The film of reading %s is missing or altered.", reading.pk)
        raise FilmMissingError(str(reading.pk))
    return data


def film_rendering(reading: Reading, *, max_side: int) -> bytes:
    """Return the film as a JPEG without metadata.

    Both renderings are stored when the film is uploaded. If one is missing, the film is decoded
    again and both are stored.

    Args:
        reading: the reading of the film.
        max_side: `VIEWER_SIDE` or `THUMBNAIL_SIDE`, the longest side in pixels. Films are never
            enlarged.

    Raises:
        FilmMissingError: the rendering is missing and the original cannot be read either.
    """
    name = storage.rendering_name(reading.film_sha256, max_side)
    rendering = storage.read(name)
    if rendering is not None:
        return rendering
    renderings = render_all(decode_film(original_film(reading), in_turn=False))
    for each, content in renderings.items():
        storage.keep(each, content)
    return renderings[name]


def heatmap(reading: Reading, *, max_side: int = HEATMAP_SIDE) -> bytes:
    """Return the activation map as a transparent PNG in the film's aspect ratio.

    Args:
        reading: the reading whose activation map is rendered.
        max_side: longest side in pixels.
    """
    scale = max_side / max(reading.film_width, reading.film_height)
    return inference.render_heatmap(
        inference.decode_activation_map(bytes(reading.activation_map)),
        max(1, round(reading.film_width * scale)),
        max(1, round(reading.film_height * scale)),
    )
