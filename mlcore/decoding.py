"""Decoding of files that nobody has checked, within limits of CPU time and memory.

`decode_film` is `read_film` in a process that is killed when the file costs too much. Web pages and
commands that take single files use it; training and evaluation, which read a data set that somebody
prepared, decode in their own process.
"""

from typing import Any

from mlcore.engine.films.encoded import film_from, raise_error
from mlcore.engine.films.errors import FilmError, FilmErrorCode
from mlcore.engine.films.film import MAX_BYTES, MAX_PIXELS, Film
from xraysite.common.decoders import pool

_CODES: dict[pool.FailureCode, FilmErrorCode] = {
    "time": "too_slow",
    "memory": "too_much_memory",
    "crash": "undecodable",
}


def decode_film(
    data: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    in_turn: bool = True,
) -> Film:
    """Decode a film from the content of a file, like `read_film`, within limits.

    The file gets 512 MB of memory and 2 seconds of CPU time; 10 seconds at most for a film whose
    header states more than 5 megapixels.

    Args:
        data: the whole file.
        max_bytes: largest accepted file size.
        max_pixels: largest accepted number of pixels.
        in_turn: whether the file waits until the account has no other file in a decoder. False for
            stored films, which were accepted before and of which a page may need many.

    Raises:
        FilmError: the file is not a readable film, or costs too much (too_slow, too_much_memory),
            or broke the decoder (undecodable).
        xraysite.common.decoders.errors.DecoderUnavailableError: no process can be started.
        xraysite.common.decoders.turns.DecodersBusyError: other files come first.
    """
    if len(data) > max_bytes:
        megabytes = -(-len(data) * 10 // 2**20) / 10
        raise FilmError("too_large", megabytes=megabytes, limit=round(max_bytes / 2**20, 1))
    arguments = {"max_bytes": max_bytes, "max_pixels": max_pixels}
    return film_from(*_run("decode", arguments, data, in_turn=in_turn))


def packed_pixels(data: bytes, *, max_pixels: int) -> bytes:
    """Decode a stored film at its stored depth, within the limits of `decode_film`.

    It waits for the account's turn: a film costs up to a second of CPU time, and a page asks for
    two of them at most.

    Args:
        data: the whole file, of a film that was accepted before.
        max_pixels: largest accepted number of pixels.

    Returns:
        The film as gzip, in the form of `mlcore.engine.films.packed`.

    Raises:
        FilmError, DecoderUnavailableError, DecodersBusyError: as `decode_film`.
    """
    arguments = {"max_bytes": MAX_BYTES, "max_pixels": max_pixels}
    reply, content = _run("decode_pixels", arguments, data, in_turn=True)
    raise_error(reply)
    return bytes(content)


def _run(
    task: str, arguments: dict[str, Any], data: bytes, *, in_turn: bool
) -> tuple[dict[str, Any], bytearray]:
    try:
        return pool.run(f"mlcore.decoding_task:{task}", arguments, data, in_turn=in_turn)
    except pool.DecoderFailedError as error:
        raise FilmError(_CODES[error.code]) from error
