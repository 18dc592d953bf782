"""Film files for the tests: every format that is accepted, and files that must be refused.

Import these through :mod:`tests.films`.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.film_dicom import encode_dicom

Pixels = npt.NDArray[np.uint8]

ORIENTATION_TAG = 0x0112
# EXIF orientation -> transposition of the upright film that a viewer undoes.
_UNDO_ORIENTATION = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def encode(pixels: Pixels, format: str) -> bytes:
    """Encode an upright grey film.

    Args:
        pixels: uint8 (height, width).
        format: a key of ENCODERS. All but the "jpeg…", "webp_lossy" and "png_1bit" ones keep
            every pixel; "tiff_white_is_zero" and "jpeg_rotated" show the same film as the rest.
    """
    return ENCODERS[format](pixels)


def _save(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _grey(format: str, **options: Any) -> Callable[[Pixels], bytes]:
    return lambda pixels: _save(Image.fromarray(pixels), format, **options)


def _converted(mode: str, format: str, **options: Any) -> Callable[[Pixels], bytes]:
    return lambda pixels: _save(Image.fromarray(pixels).convert(mode), format, **options)


def _sixteen_bit(format: str, **options: Any) -> Callable[[Pixels], bytes]:
    def encoder(pixels: Pixels) -> bytes:
        return _save(Image.fromarray(pixels.astype(np.uint16) * 257), format, **options)

    return encoder


def _palette(format: str) -> Callable[[Pixels], bytes]:
    """A palette that runs from white to black, so that an index is never its own grey."""

    def encoder(pixels: Pixels) -> bytes:
        image = Image.fromarray(255 - pixels).convert("P")
        image.putpalette([level for grey in range(255, -1, -1) for level in (grey,) * 3])
        return _save(image, format)

    return encoder


def _rotated(format: str, orientation: int, **options: Any) -> Callable[[Pixels], bytes]:
    def encoder(pixels: Pixels) -> bytes:
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        turned = Image.fromarray(pixels).transpose(_UNDO_ORIENTATION[orientation])
        return _save(turned, format, exif=exif, **options)

    return encoder


def _white_is_zero(pixels: Pixels) -> bytes:
    """TIFF with PhotometricInterpretation 0, as many scanners write."""
    height, width = pixels.shape
    data = (255 - pixels).tobytes()
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 0),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(data)),
    ]
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    header = b"II*\0" + struct.pack("<I", 8 + len(data))
    return header + data + directory + b"\0\0\0\0"


ENCODERS: dict[str, Callable[[Pixels], bytes]] = {
    "jpeg": _grey("JPEG", quality=95),
    "jpeg_rgb": _converted("RGB", "JPEG", quality=95),
    "jpeg_cmyk": _converted("CMYK", "JPEG", quality=95),
    "jpeg_progressive": _grey("JPEG", quality=95, progressive=True),
    "jpeg_rotated": _rotated("JPEG", 6, quality=95),
    "png": _grey("PNG"),
    "png_rgb": _converted("RGB", "PNG"),
    "png_rgba": _converted("RGBA", "PNG"),
    "png_la": _converted("LA", "PNG"),
    "png_palette": _palette("PNG"),
    "png_1bit": _converted("1", "PNG"),
    "png_rotated": _rotated("PNG", 8),
    "png16": _sixteen_bit("PNG"),
    "bmp": _grey("BMP"),
    "bmp_rgb": _converted("RGB", "BMP"),
    "bmp_palette": _palette("BMP"),
    "tiff": _grey("TIFF"),
    "tiff_lzw": _grey("TIFF", compression="tiff_lzw"),
    "tiff_rgb": _converted("RGB", "TIFF"),
    "tiff_rotated": _rotated("TIFF", 3),
    "tiff_white_is_zero": _white_is_zero,
    "tiff16": _sixteen_bit("TIFF"),
    "tiff16_deflate": _sixteen_bit("TIFF", compression="tiff_adobe_deflate"),
    "webp": _converted("RGB", "WEBP", lossless=True),
    "webp_rgba": _converted("RGBA", "WEBP", lossless=True),
    "webp_lossy": _grey("WEBP", quality=95),
}


def bomb_png(side: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes that claims side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    blank = zlib.compress(bytes(64 * 1024), 9)
    chunks = ((b"IHDR", header), (b"IDAT", blank), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def animated(pixels: Pixels, format: str) -> bytes:
    """Two different frames as GIF, WEBP, PNG (APNG) or pages of a TIFF."""
    frames = [Image.fromarray(pixels).convert("RGB"), Image.fromarray(255 - pixels).convert("RGB")]
    return _save(frames[0], format, save_all=True, append_images=frames[1:])


def zipped(pixels: Pixels) -> bytes:
    """A zip archive that contains a valid film."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("film.jpeg", encode(pixels, "jpeg"))
    return buffer.getvalue()


HTML = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="300" height="300">'
    b"<script>alert(1)</script></svg>"
)
PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"


class HostileFile(NamedTuple):
    """A file that must be refused."""

    filename: str
    data: bytes
    code: str  # of the expected FilmError


@cache
def hostile_files() -> dict[str, HostileFile]:
    """Files that must be refused, by case name, each with the expected FilmError code.

    Files are small; tests of the size limit lower the limit.
    """
    from tests.films import draw_film

    film = draw_film("NORMAL", seed=1, size=128)
    jpeg, png = encode(film, "jpeg"), encode(film, "png")
    dicom = encode_dicom(film)
    files = {
        "empty": ("film.jpg", b"", "empty"),
        "html": ("film.jpg", HTML, "not_an_image"),
        "svg": ("film.png", SVG, "not_an_image"),
        "text": ("film.png", b"not a film at all\n" * 20, "not_an_image"),
        "zip": ("film.jpg", zipped(film), "archive"),
        "gzip": ("film.dcm", gzip.compress(dicom), "archive"),
        "pdf": ("film.jpg", PDF, "archive"),
        "bomb": ("film.png", bomb_png(), "too_many_pixels"),
        "truncated_jpeg": ("film.jpg", jpeg[: len(jpeg) // 2], "truncated"),
        "truncated_png": ("film.png", png[: len(png) // 2], "truncated"),
        "truncated_dicom": ("film.dcm", dicom[: len(dicom) // 2], "truncated"),
        "animated_gif": ("film.gif", animated(film, "GIF"), "animated"),
        "animated_webp": ("film.webp", animated(film, "WEBP"), "animated"),
        "animated_png": ("film.png", animated(film, "PNG"), "animated"),
        "pages_tiff": ("film.tiff", animated(film, "TIFF"), "animated"),
        "frames_dicom": ("film.dcm", encode_dicom(film, frames=2), "animated"),
        "still_gif": ("film.gif", _save(Image.fromarray(film), "GIF"), "unsupported"),
        "blank": ("film.png", encode(np.full_like(film, 90), "png"), "blank"),
        "tiny": ("film.png", encode(film[:16, :16], "png"), "too_small"),
        "ct_dicom": ("film.dcm", encode_dicom(film, modality="CT"), "wrong_modality"),
        "mr_dicom": ("film.dcm", encode_dicom(film, modality="MR"), "wrong_modality"),
        "report_dicom": ("film.dcm", encode_dicom(film, pixel_data=False), "no_pixels"),
    }
    return {name: HostileFile(*file) for name, file in files.items()}
