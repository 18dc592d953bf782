"""What a decoder process does with a film; it runs without Django's settings."""

from typing import Any

from mlcore.engine.films.budget import listening
from mlcore.engine.films.encoded import Encoded, encode_film, error_of
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import read_plane
from mlcore.engine.films.packed import pack
from xraysite.common.decoders import worker

# JPEG 2000, the slowest of the accepted formats, decodes about 5 megapixels a second.
PIXELS_PER_SECOND = 2_500_000


def allow(pixels: int) -> None:
    """Give a film of more than 5 megapixels CPU time in proportion to the size in its header."""
    worker.allow_seconds(max(worker.CPU_SECONDS, pixels / PIXELS_PER_SECOND))


def decode(arguments: dict[str, Any], data: bytes) -> Encoded:
    """Decode a film for `mlcore.decoding.decode_film`."""
    with listening(allow):
        return encode_film(data, **arguments)


def decode_pixels(arguments: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode a film at its stored depth, and pack it, for `mlcore.decoding.packed_pixels`."""
    with listening(allow):
        try:
            return {}, pack(read_plane(data, **arguments))
        except FilmError as error:
            return error_of(error), b""
