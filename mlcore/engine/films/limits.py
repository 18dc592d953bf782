"""Limits that are checked before a decoder sees a file, so that hostile files cost milliseconds.

They need no decoder and look at a few bytes only. What they let through is still bounded where it
is decoded: `mlcore.decoding` does that in a process with limited CPU time and memory.
"""

from __future__ import annotations

import struct

from mlcore.engine.films.errors import FilmError

# Progressive JPEGs have about ten scans, and each one costs a pass over all pixels.
MAX_SCANS = 100
# A PNG of 32 MB in the usual pieces of 8 kB has 4,000 chunks.
MAX_CHUNKS = 20_000
# The decoder needs 15 bytes a pixel.
MAX_WEBP_PIXELS = 25_000_000
# Pillow decodes run-length encoded bitmaps in Python.
MAX_RLE_BMP_PIXELS = 25_000_000
MAX_RLE_BMP_BYTES = 4 * 2**20
# TIFF images in one file, or in a chain without an end; one film has one, or a few reduced copies.
MAX_DIRECTORIES = 50


def check_cost(data: bytes, format: str) -> None:
    """Refuse a file that would cost its decoder much more than a film does.

    Args:
        data: the whole file.
        format: JPEG, PNG, BMP, TIFF, WEBP or DICOM. Scans of a JPEG are counted where it is parsed,
            because a phone's video may follow it.

    Raises:
        FilmError: too_complex, animated (TIFF) or too_many_pixels (WebP).
    """
    if format == "PNG":
        _check_chunks(data)
    elif format == "BMP":
        _check_bitmap(data)
    elif format == "WEBP":
        _check_webp(data)
    elif format == "TIFF":
        _check_directories(data)


def check_scans(stream: bytes, format: str) -> None:
    """Refuse a JPEG stream with too many scans.

    Raises:
        FilmError: too_complex.
    """
    if stream.count(b"\xff\xda") > MAX_SCANS:
        raise FilmError("too_complex", format=format)


def _check_chunks(data: bytes) -> None:
    at, count = 8, 0
    while at + 8 <= len(data):
        count += 1
        if count > MAX_CHUNKS:
            raise FilmError("too_complex", format="PNG")
        at += int.from_bytes(data[at : at + 4], "big") + 12


def _check_bitmap(data: bytes) -> None:
    """Limit run-length encoded bitmaps (compression 1 and 2)."""
    if len(data) < 34 or int.from_bytes(data[14:18], "little") < 40:
        return
    width, height = struct.unpack_from("<ii", data, 18)
    if int.from_bytes(data[30:34], "little") not in (1, 2):
        return
    if abs(width * height) > MAX_RLE_BMP_PIXELS or len(data) > MAX_RLE_BMP_BYTES:
        raise FilmError("too_complex", format="BMP")


def _check_webp(data: bytes) -> None:
    """Limit the pixels of a still WebP image, by its first chunk."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return
    if kind == b"VP8X":
        width = int.from_bytes(body[4:7], "little") + 1
        height = int.from_bytes(body[7:10], "little") + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", body[6:10]))
    else:
        packed = int.from_bytes(body[1:5], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if width * height > MAX_WEBP_PIXELS:
        megapixels = -(-width * height // 100_000) / 10
        raise FilmError("too_many_pixels", megapixels=megapixels, limit=MAX_WEBP_PIXELS / 1e6)


def _check_directories(data: bytes) -> None:
    """Limit the chain of directories of a classic TIFF file."""
    order = "little" if data[:1] == b"I" else "big"
    if data[2:4] in (b"+\0", b"\0+"):
        return
    at = int.from_bytes(data[4:8], order)  # type: ignore[arg-type]
    for _ in range(MAX_DIRECTORIES):
        if at < 8 or at + 2 > len(data):
            return
        end = at + 2 + 12 * int.from_bytes(data[at : at + 2], order)  # type: ignore[arg-type]
        at = int.from_bytes(data[end : end + 4], order)  # type: ignore[arg-type]
    raise FilmError("animated", format="TIFF")
