"""What a decoder process does with a film; it runs without Django's settings."""

from typing import Any

from mlcore.engine.films.encoded import Encoded, encode_within_budget
from xraysite.common.decoders import worker


def decode(arguments: dict[str, Any], data: bytes) -> Encoded:
    """Decode a film for `mlcore.decoding.decode_film`."""
    return encode_within_budget(
        arguments | {"least_seconds": worker.CPU_SECONDS, "seconds": worker.MAX_CPU_SECONDS},
        data,
        worker.allow_seconds,
    )
