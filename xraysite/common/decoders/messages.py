"""Messages between a web process and its decoders: a JSON object and some bytes.

Not pickle: a decoder that a hostile file took over could run code here through a pickle.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

_LENGTHS = struct.Struct(">IQ")
MAX_TEXT = 2**20
MAX_BYTES = 2**29


class BrokenMessageError(Exception):
    """Raised when the other side has ended, or sent something else than a message."""


def send(
    stream: BinaryIO, fields: dict[str, Any], content: bytes | bytearray | memoryview = b""
) -> None:
    """Write a message.

    Raises:
        OSError: the other side has ended.
    """
    text = json.dumps(fields).encode()
    view = memoryview(content).cast("B")
    stream.write(_LENGTHS.pack(len(text), len(view)) + text)
    stream.write(view)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytearray]:
    """Read a message.

    Raises:
        BrokenMessageError: there is no whole message.
    """
    text_length, length = _LENGTHS.unpack(_read(stream, _LENGTHS.size))
    if text_length > MAX_TEXT or length > MAX_BYTES:
        raise BrokenMessageError("The message is too large.")
    try:
        fields = json.loads(_read(stream, text_length))
    except ValueError as error:
        raise BrokenMessageError("The message is not JSON.") from error
    if not isinstance(fields, dict):
        raise BrokenMessageError("The message is not a JSON object.")
    return fields, _read(stream, length)


def _read(stream: BinaryIO, length: int) -> bytearray:
    content = bytearray(length)
    view, done = memoryview(content), 0
    while done < length:
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise BrokenMessageError("The other side has ended.")
        done += count
    return content
