"""Renderings with a seal: which film they show, which version made them, and their digest.

The seal is a comment segment after the JPEG's first marker, so a stored rendering remains a JPEG.
`opened` checks and removes it: what is served has no metadata. Reading half a file, or a file that
was copied over another, is noticed when it is opened.
"""

import hashlib
import struct

# Raise when `render_film` draws the same film differently: stored renderings are then made again.
RENDERER = 1

_START = b"\xff\xd8"
_COMMENT = b"\xff\xfe"
_NAME = b"xraysite-rendering "


class UnsealedError(Exception):
    """Raised when a rendering has no seal of the current version."""


class BrokenSealError(Exception):
    """Raised when a rendering is damaged or shows another film."""


def seal(jpeg: bytes, *, source: str, side: int) -> bytes:
    """Return a JPEG with the seal that `opened` checks.

    Args:
        jpeg: the rendering, as `render_film` made it.
        source: SHA-256 of the film's file.
        side: the longest side that was asked for, in pixels.
    """
    text = _NAME + _text(jpeg, source, side)
    return _START + _COMMENT + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


def opened(content: bytes, *, source: str, side: int) -> bytes:
    """Return the JPEG without its seal.

    Args:
        content: a stored rendering.
        source: SHA-256 of the film that it must show.
        side: the longest side that it must have been made for.

    Raises:
        UnsealedError: it was stored before renderings had seals, or by another renderer.
        BrokenSealError: it is damaged, or shows another film.
    """
    is_jpeg = content[:2] == _START
    if is_jpeg and content[2:4] != _COMMENT:
        raise UnsealedError
    if not is_jpeg or content[6 : 6 + len(_NAME)] != _NAME:
        raise BrokenSealError("it is no rendering")
    (length,) = struct.unpack(">H", content[4:6])
    text = content[6 + len(_NAME) : 4 + length]
    jpeg = _START + content[4 + length :]
    if text.partition(b" ")[0] != str(RENDERER).encode():
        raise UnsealedError
    if text.split(b" ")[1:2] != [source.encode()]:
        raise BrokenSealError("it shows another film")
    if text != _text(jpeg, source, side):
        raise BrokenSealError("it is damaged")
    return jpeg


def _text(jpeg: bytes, source: str, side: int) -> bytes:
    return f"{RENDERER} {source} {side} {hashlib.sha256(jpeg).hexdigest()}".encode()
