"""Reading and rendering of films.

`read_film` is the only way to turn a file into pixels, in training, serving and commands alike;
`read_plane` is its twin for windowing on a screen, at the depth that the file stores. They
identify the format from the content, never from the file name or MIME type, and check the size
in the header before they decode anything.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine.films import grey
from mlcore.engine.films.errors import FilmError, gettext_noop
from mlcore.engine.films.header import DicomHeader
from mlcore.engine.films.limits import check_cost
from mlcore.engine.films.plane import Plane
from mlcore.engine.films.raster import read_raster, refuse_gif

__all__ = ["Film", "FilmError", "Format", "read_film", "read_plane", "render_film"]

Format = Literal["JPEG", "PNG", "BMP", "TIFF", "WEBP", "DICOM"]

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 64_000_000

_ARCHIVES = {
    b"PK\x03\x04": gettext_noop("ZIP archive"),
    b"PK\x05\x06": gettext_noop("ZIP archive"),
    b"PK\x07\x08": gettext_noop("ZIP archive"),
    b"\x1f\x8b": gettext_noop("gzip archive"),
    b"Rar!\x1a\x07": gettext_noop("RAR archive"),
    b"7z\xbc\xaf\x27\x1c": gettext_noop("7-Zip archive"),
    b"BZh": gettext_noop("bzip2 archive"),
    b"\xfd7zXZ\0": gettext_noop("xz archive"),
    b"\x28\xb5\x2f\xfd": gettext_noop("Zstandard archive"),
    b"%PDF-": gettext_noop("PDF document"),
}
_OTHER_FORMATS = {
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop",
    b"\x5c\x01\0\0": "NIfTI",
}
# Brands of still images and bursts in ISO media files (ISO 23008-12); others are videos.
_STILL_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"heif"}
    | {b"mif1", b"mif2", b"msf1", b"miaf", b"avif", b"avis", b"avci", b"avcs", b"jpeg"}
)
_RASTERS: dict[bytes, Format] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
# Valid sizes of a bitmap's second header; many text files start with "BM" too.
_BITMAP_HEADERS = {12, 40, 52, 56, 64, 108, 124}


@dataclass(frozen=True, eq=False)
class Film:
    """A radiograph, ready for display.

    Attributes:
        pixels: uint8 (height, width), higher is whiter, upright, read-only.
        format: the file's format.
        sha256: hexadecimal SHA-256 of the file.
        byte_size: size of the file in bytes.
        source_bits: bits per sample in the file; `mlcore.engine.films.grey` describes how more
            than 8 bits are mapped.
        header: what a DICOM file states; None for other formats.
        photometric: how the file stores colours, in DICOM's terms: MONOCHROME2, RGB, ...
        frames: number of images in the file; more than one is refused.
        notices: codes of `mlcore.engine.films.notices`, those of the header included.
    """

    pixels: npt.NDArray[np.uint8] = field(repr=False)
    format: Format
    sha256: str
    byte_size: int
    source_bits: int
    header: DicomHeader | None = field(default=None, repr=False)
    photometric: str = ""
    frames: int = 1
    notices: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def read_film(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Film:
    """Decode a film from the content of a file.

    Args:
        data: the whole file: JPEG, PNG, BMP, TIFF, WebP or DICOM.
        max_bytes: largest accepted file size.
        max_pixels: largest accepted number of pixels.

    Raises:
        FilmError: the file is not a readable film; `code` gives the reason.
    """
    format = _checked_format(data, max_bytes)
    header = None
    notices: tuple[str, ...] = ()
    if format == "DICOM":
        # Imported on demand: pydicom takes 0.2 s and 20 MB.
        from mlcore.engine.films.dicom.reader import read_dicom

        decoded = read_dicom(data, max_bytes=max_bytes, max_pixels=max_pixels)
        pixels, bits, photometric = decoded.pixels, decoded.bits, decoded.photometric
        header, notices = decoded.header, decoded.header.notices + decoded.notices
    else:
        raster = read_raster(data, format, max_pixels=max_pixels)
        pixels, bits, photometric = raster.shown(), raster.bits, raster.photometric
    if grey.is_blank(pixels):
        raise FilmError("blank")
    pixels.setflags(write=False)
    digest = hashlib.sha256(data).hexdigest()
    return Film(
        pixels, format, digest, len(data), bits, header, photometric=photometric, notices=notices
    )


def read_plane(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Plane:
    """Decode a film at the depth that its file stores.

    Args:
        data: the whole file, of a film that `read_film` accepts.
        max_bytes: largest accepted file size.
        max_pixels: largest accepted number of pixels.

    Returns:
        The film, whose `Plane.shown` equals the pixels of `read_film`.

    Raises:
        FilmError: the file is not a readable film; `code` gives the reason.
    """
    format = _checked_format(data, max_bytes)
    if format != "DICOM":
        return read_raster(data, format, max_pixels=max_pixels).plane()
    from mlcore.engine.films.dicom.reader import read_dicom_plane

    return read_dicom_plane(data, max_bytes=max_bytes, max_pixels=max_pixels)


def _checked_format(data: bytes, max_bytes: int) -> Format:
    """Return the format of a file that is not too large and costs no more than a film does.

    Raises:
        FilmError: empty, too_large, or see `_identify` and `check_cost`.
    """
    if not data:
        raise FilmError("empty")
    if len(data) > max_bytes:
        megabytes = -(-len(data) * 10 // 2**20) / 10
        raise FilmError("too_large", megabytes=megabytes, limit=round(max_bytes / 2**20, 1))
    format = _identify(data)
    check_cost(data, format)
    return format


def render_film(film: Film, *, max_side: int = 1600, quality: int = 88) -> bytes:
    """Render a film as a greyscale JPEG, from the pixels alone: no metadata of the file is kept.

    Args:
        film: the film to render.
        max_side: maximum side length in pixels; smaller films keep their size.
        quality: JPEG quality, 1 to 95.
    """
    image = Image.fromarray(film.pixels)
    share = max_side / max(image.size)
    if share < 1:
        size = (max(1, round(film.width * share)), max(1, round(film.height * share)))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _identify(data: bytes) -> Format:
    """Identify the format from the first bytes.

    Raises:
        FilmError: archive, unsupported, animated or not_an_image.
    """
    # First, because the preamble of a DICOM file may contain another format's signature.
    if is_dicom(data):
        return "DICOM"
    for mark, format in _RASTERS.items():
        if data.startswith(mark):
            return format
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BITMAP_HEADERS:
        return "BMP"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise _not_a_film(data)


def _box_size(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def is_dicom(data: bytes) -> bool:
    """Return whether a file is DICOM, with or without a preamble."""
    return data[128:132] == b"DICM" or _is_bare_dicom(data)


def _is_bare_dicom(data: bytes) -> bool:
    """Return whether the file is DICOM without a preamble, which starts with a data element.

    Such files start with a low element number of group 2 or 8, in either byte order, and a short
    first element. No text or image file looks like this.
    """
    if len(data) < 132:
        return False
    little = data[:2] in (b"\x02\0", b"\x08\0") and data[3] == 0
    big = data[:2] in (b"\0\x02", b"\0\x08") and data[2] == 0
    explicit = data[4:6] in (b"UL", b"CS", b"UI", b"OB", b"DA", b"SH", b"LO", b"ST", b"PN")
    implicit = int.from_bytes(data[4:8], "little") <= 128
    low = (0x00, 0x01, 0x05, 0x08, 0x12, 0x13, 0x16, 0x18)
    return (explicit and (little or big)) or (little and implicit and data[2] in low)


def _not_a_film(data: bytes) -> FilmError:
    """Return the error for a file in no accepted format, naming the format if it is known."""
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return refuse_gif(data)
    for mark, kind in _ARCHIVES.items():
        if data.startswith(mark):
            return FilmError("archive", kind=kind)
    if data[257:262] == b"ustar":
        return FilmError("archive", kind=gettext_noop("tar archive"))
    for mark, picture in _OTHER_FORMATS.items():
        if data.startswith(mark):
            return FilmError("unsupported", format=picture)
    if data[4:8] == b"ftyp":
        brands = {data[at : at + 4] for at in (8, *range(16, min(_box_size(data), 128), 4))}
        if brands & _STILL_BRANDS:
            return FilmError("unsupported", format="HEIF/AVIF")
        return FilmError("not_an_image")
    return FilmError("not_an_image")
