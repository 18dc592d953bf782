"""Stored films: the original file, and the images rendered from it."""

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
from django.db import connection

from diagnosis import sealed_jpeg, storage
from diagnosis.models import BatchItem, Reading
from mlcore import inference
from mlcore.decoding import decode_film, packed_pixels
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import Film, render_film

logger = logging.getLogger(__name__)

# Longest side in pixels.
THUMBNAIL_SIDE = 160
VIEWER_SIDE = 1600
HEATMAP_SIDE = 800
# Twice the largest detectors. Beyond, browsers show the 8-bit rendering only: the values of a film
# take two bytes a pixel on the server, and four in the browser.
MAX_DEEP_PIXELS = 36_000_000


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
    digest.update(np.ascontiguousarray(film.pixels).data)
    return digest.hexdigest()


def file_names(sha256: str) -> list[str]:
    """Return the storage names of everything that is kept of a film."""
    sides = (VIEWER_SIDE, THUMBNAIL_SIDE)
    return [
        storage.original_name(sha256),
        *(storage.rendering_name(sha256, side) for side in sides),
    ]


def render_all(film: Film) -> dict[int, bytes]:
    """Render a decoded film for the viewer and as a thumbnail.

    Returns:
        By longest side, a JPEG without metadata.
    """
    return {side: render_film(film, max_side=side) for side in (VIEWER_SIDE, THUMBNAIL_SIDE)}


def stored_film(film: Film, data: bytes) -> dict[str, bytes]:
    """Return everything that is stored of an uploaded film, by storage name.

    Args:
        film: the decoded film; its renderings are made from these pixels.
        data: the uploaded file, byte for byte.
    """
    return {storage.original_name(film.sha256): data, **_sealed(film.sha256, render_all(film))}


def _sealed(sha256: str, renderings: dict[int, bytes]) -> dict[str, bytes]:
    return {
        storage.rendering_name(sha256, side): sealed_jpeg.seal(jpeg, source=sha256, side=side)
        for side, jpeg in renderings.items()
    }


def original_film(reading: Reading) -> bytes:
    """Return the uploaded file, byte for byte.

    Raises:
        FilmMissingError: the file is not in storage or cannot be read, or its hash differs from
            the reading's.
    """
    try:
        data = storage.read(storage.original_name(reading.film_sha256))
    except OSError as error:
        logger.error("The film of reading %s cannot be read: %s", reading.pk, error)
        raise FilmMissingError(str(reading.pk)) from error
    if data is None or hashlib.sha256(data).hexdigest() != reading.film_sha256:
        logger.error("The film of reading %s is missing or altered.", reading.pk)
        raise FilmMissingError(str(reading.pk))
    return data


def has_film(reading: Reading) -> bool:
    """Return whether the stored film is the file that was read."""
    try:
        original_film(reading)
    except FilmMissingError:
        return False
    return True


def waiting_rendering(item: BatchItem) -> bytes:
    """Return a file of a batch that has not been read yet as a JPEG for the viewer.

    Raises:
        FilmMissingError: it is not in storage, or cannot be decoded.
    """
    data = storage.read(storage.batch_name(item.doctor_id, item.pk))
    if data is None:
        raise FilmMissingError(str(item.pk))
    try:
        return render_film(decode_film(data), max_side=VIEWER_SIDE)
    except FilmError as error:
        raise FilmMissingError(str(item.pk)) from error


def film_rendering(reading: Reading, *, max_side: int) -> bytes:
    """Return the film as a JPEG without metadata.

    Both renderings are stored when the film is uploaded. If one is missing, damaged, another
    film's or of an earlier version of the site, the film is decoded again and both are stored. If
    they cannot be stored, for example because the disk is full, they are returned all the same.

    Args:
        reading: the reading of the film.
        max_side: `VIEWER_SIDE` or `THUMBNAIL_SIDE`, the longest side in pixels. Films are never
            enlarged.

    Raises:
        FilmMissingError: the rendering is missing and the original cannot be read either.
    """
    stored = stored_rendering(reading.film_sha256, max_side)
    if stored is not None:
        return stored
    return render_again(reading)[max_side]


def stored_rendering(sha256: str, side: int) -> bytes | None:
    """Return the stored rendering of a film; None if it is missing, outdated or damaged."""
    name = storage.rendering_name(sha256, side)
    try:
        content = storage.read(name)
        return None if content is None else sealed_jpeg.opened(content, source=sha256, side=side)
    except sealed_jpeg.UnsealedError:
        logger.info("Rendering %s is of an earlier version and is made again.", name)
    except (OSError, sealed_jpeg.BrokenSealError) as error:
        logger.error("Rendering %s is not used and is made again: %s", name, error)
    return None


def render_again(reading: Reading) -> dict[int, bytes]:
    """Decode the stored film, store its renderings if possible, and return them.

    Returns:
        By longest side, a JPEG without metadata.

    Raises:
        FilmMissingError: the stored film is missing or altered.
    """
    film = decode_film(original_film(reading), in_turn=False)
    renderings = render_all(film)
    try:
        for name, content in _sealed(film.sha256, renderings).items():
            storage.keep(name, content)
    except OSError as error:
        logger.warning("The renderings of reading %s are not stored: %s", reading.pk, error)
    return renderings


def film_pixels(reading: Reading) -> bytes:
    """Return the film at its stored depth, without loss, for windowing in a browser.

    Nothing about the patient or from a model is in it. It is decoded each time: stored, it would
    double the space of a film.

    Returns:
        gzip, see `mlcore.engine.films.packed`.

    Raises:
        FilmMissingError: the stored film is missing or altered.
        FilmError: the film has more than `MAX_DEEP_PIXELS` pixels, or costs more than a decoder
            may use.
        DecoderUnavailableError, DecodersBusyError: see `mlcore.decoding`.
    """
    return packed_pixels(original_film(reading), max_pixels=MAX_DEEP_PIXELS)


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
