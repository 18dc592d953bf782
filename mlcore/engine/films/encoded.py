"""A decoded film as JSON and pixels, or the error as JSON.

The process that decodes and the one that uses the film exchange it in this form.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import Film, read_film
from mlcore.engine.films.header import DicomHeader

Encoded = tuple[dict[str, Any], npt.NDArray[np.uint8]]
_NO_PIXELS = np.empty(0, np.uint8)


def encode_film(data: bytes, *, max_bytes: int, max_pixels: int) -> Encoded:
    """Decode a file and return the film, or its error, for `film_from`."""
    try:
        film = read_film(data, max_bytes=max_bytes, max_pixels=max_pixels)
    except FilmError as error:
        return error_of(error), _NO_PIXELS
    stated = {
        each.name: _plain(getattr(film, each.name))
        for each in fields(Film)
        if each.name not in ("pixels", "header")
    }
    header = film.header and {
        each.name: _plain(getattr(film.header, each.name)) for each in fields(DicomHeader)
    }
    return {"shape": film.pixels.shape, "film": stated, "header": header}, film.pixels


def error_of(error: FilmError) -> dict[str, Any]:
    """Return an error for `raise_error`.

    Raises:
        MemoryError: the decoder ran out of memory, which Pillow's errors hide.
    """
    if _out_of_memory(error):
        raise MemoryError from error
    return {"error": error.code, "detail": error.detail}


def raise_error(reply: Mapping[str, Any]) -> None:
    """Raise the `FilmError` that a reply states, if any."""
    if "error" in reply:
        raise FilmError(reply["error"], **reply["detail"])


def film_from(reply: Mapping[str, Any], content: bytes | bytearray) -> Film:
    """Return the film that `encode_film` encoded.

    Raises:
        FilmError: the file was not a readable film.
    """
    raise_error(reply)
    pixels = np.frombuffer(content, np.uint8).reshape(reply["shape"])
    pixels.setflags(write=False)
    header = reply["header"]
    stated = {name: _value(value) for name, value in reply["film"].items()}
    if header is not None:
        header = DicomHeader(**{name: _value(value) for name, value in header.items()})
    return Film(pixels=pixels, header=header, **stated)


def _out_of_memory(error: BaseException | None) -> bool:
    """Return whether a decoder ran out of memory, which Pillow's errors hide."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; `_value` is the inverse."""
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    if isinstance(value, tuple):
        return {"tuple": [_plain(each) for each in value]}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "date" in value:
        return datetime.date.fromisoformat(value["date"])
    return tuple(_value(each) for each in value["tuple"])
