"""What a decoder process does with a film; it runs without Django's settings."""

from typing import Any

from mlcore.engine.films.budget import listening
from mlcore.engine.films.encoded import Encoded, encode_film
from xraysite.common.decoders import worker

# JPEG 2000, the slowest of the accepted formats, decodes about 5 megapixels a second.
PIXELS_PER_SECOND = 2_500_000


def decode(arguments: dict[str, Any], data: bytes) -> Encoded:
    """Decode a film for `mlcore.decoding.decode_film`.

    A film of more than 5 megapixels gets CPU time in proportion to the size in its header.
    """

    def allow(pixels: int) -> None:
        worker.allow_seconds(max(worker.CPU_SECONDS, pixels / PIXELS_PER_SECOND))

    with listening(allow):
        return encode_film(data, **arguments)
