"""Helpers for tests of refused films."""

from __future__ import annotations

import pytest

from mlcore.engine.films.errors import CODES
from mlcore.engine.films.film import FilmError, read_film

FORMATS = frozenset({"JPEG", "PNG", "BMP", "TIFF", "WEBP", "DICOM"})


def refused(data: bytes, **limits: int) -> FilmError:
    """Return the error for a file; the test fails if the file is read."""
    with pytest.raises(FilmError) as caught:
        read_film(data, **limits)
    return caught.value


def check_outcome(data: bytes) -> None:
    """Check that any bytes give a film or a FilmError, and nothing else."""
    try:
        outcome = read_film(data, max_pixels=4_000_000).format
    except FilmError as error:
        outcome = error.code
    assert outcome in FORMATS | set(CODES)
