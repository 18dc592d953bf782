"""JPEG, PNG, BMP, TIFF and WebP through Pillow, to upright 8-bit grey.

Pillow's plugins are called by their class, never through `Image.open`: no other format can be
reached, and its process-wide limit against decompression bombs (a warning, then an error) is
not in play; the size in the header is checked here, before any pixel is decoded.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mlcore.engine.films import grey
from mlcore.engine.films.errors import FilmError, check_size

_PLUGINS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
}
# What Pillow raises over damaged files: its plugins unpack and index bytes as they come. It only
# warns of some damage, which is an error where a process has made warnings errors.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    AttributeError,
    ZeroDivisionError,
    MemoryError,
    RuntimeError,
    UserWarning,
    struct.error,
    zlib.error,
)
# In Pillow's complaints about a sound file of a rare kind, such as a 12-bit JPEG.
_VARIANT_WORDS = ("unsupported", "unknown pixel mode", "not available", "cannot handle")
_ORIENTATION = 0x0112
# A progressive JPEG has some ten scans; each further one costs a pass over all pixels.
_MAX_SCANS = 100


def read_raster(data: bytes, format: str, *, max_pixels: int) -> tuple[npt.NDArray[np.uint8], int]:
    """Decode a file whose first bytes have already told its format.

    Returns:
        Upright grey (height, width), higher is whiter, and the bits a sample had in the file.

    Raises:
        FilmError: animated, too_many_pixels, too_small, truncated, unsupported or corrupt.
    """
    _check_before_parsing(data, format, max_pixels)
    try:
        image = _PLUGINS[format](io.BytesIO(data))
        frames_follow = bool(getattr(image, "is_animated", False))
    except _PILLOW_ERRORS as error:
        raise _refusal(data, format, error) from error
    with image:
        if frames_follow:
            raise FilmError("animated", format=format)
        check_size(*image.size, max_pixels)
        try:
            bits = _bits(image, data)
            return _upright_grey(image), bits
        except _PILLOW_ERRORS as error:
            raise _refusal(data, format, error) from error


def refuse_gif(data: bytes) -> FilmError:
    """The error for a GIF: no radiograph comes as one, but say when it also moves."""
    try:
        moves = GifImageFile(io.BytesIO(data)).is_animated
    except _PILLOW_ERRORS:
        moves = False
    return FilmError("animated", format="GIF") if moves else FilmError("unsupported", format="GIF")


def _check_before_parsing(data: bytes, format: str, max_pixels: int) -> None:
    """Refuse what would already cost much, or pass unseen, in Pillow's hands."""
    if _is_cut(data, format):
        raise FilmError("truncated", format=format)
    if format == "JPEG" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise FilmError("corrupt", format=format)
    if format == "WEBP":
        # Its decoder reserves the whole canvas when the file is opened.
        width, height, animated = _webp_canvas(data)
        if animated:
            raise FilmError("animated", format=format)
        check_size(width, height, max_pixels)


def _is_cut(data: bytes, format: str) -> bool:
    """Whether the file lacks its end, by the marks its format ends with.

    Decoders fill a missing lower part with grey, and a film must not be read from that.
    """
    if format == "JPEG":
        return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")
    if format == "PNG":
        return data.rfind(b"IEND") < 0
    if format == "WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    return False


def _webp_canvas(data: bytes) -> tuple[int, int, bool]:
    """Width, height and whether it is animated, from a WebP file's first chunk."""
    kind, body = data[12:16], data[20:30]
    if len(body) == 10 and kind == b"VP8X":
        width = int.from_bytes(body[4:7], "little") + 1
        return width, int.from_bytes(body[7:10], "little") + 1, bool(body[0] & 0x02)
    if len(body) == 10 and kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF, False
    if len(body) == 10 and kind == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, False
    raise FilmError("corrupt", format="WEBP")


def _refusal(data: bytes, format: str, error: BaseException) -> FilmError:
    """What a decoder's complaint means: cut off, damaged, or a variant it does not know."""
    text = str(error).lower()
    if "truncated" in text or "not enough image data" in text or isinstance(error, EOFError):
        return FilmError("truncated", format=format)
    if format == "BMP" and len(data) < int.from_bytes(data[2:6], "little"):
        return FilmError("truncated", format=format)
    if any(words in text for words in _VARIANT_WORDS):
        return FilmError("unsupported", format=format)
    return FilmError("corrupt", format=format)


def _bits(image: ImageFile, data: bytes) -> int:
    """Bits of one sample as the file stores them."""
    if isinstance(image, PngImageFile):
        return data[24]  # IHDR is always the first chunk
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(BITSPERSAMPLE, (1,))[0])
    return 1 if image.mode == "1" else 8


def _upright_grey(image: ImageFile) -> npt.NDArray[np.uint8]:
    if isinstance(image, JpegImageFile) and image.mode == "RGB":
        # Luma is a plane of the file itself: leave the colours undecoded. Size stays full.
        image.draft("L", image.size)
    image.load()
    orientation = _orientation(image)  # after load: the TIFF plugin turns the picture itself
    return np.ascontiguousarray(_turned(_grey(image), orientation))


def _grey(image: ImageFile) -> npt.NDArray[np.uint8]:
    """Any mode to grey; what is transparent shows black, as beside a film on a light box."""
    if image.mode.startswith("I;16"):
        plane = grey.from_uint16(np.asarray(image).astype(np.uint16, copy=False))
        return ~plane if _white_is_zero(image) else plane
    if image.mode in ("I", "F"):
        plane = grey.from_wide(np.asarray(image))
        return ~plane if _white_is_zero(image) else plane
    if image.mode == "P":
        return grey.looked_up(_palette_grey(image), np.asarray(image))
    return np.asarray(_luma(image))


def _white_is_zero(image: ImageFile) -> bool:
    """Whether a deep TIFF counts from white; Pillow itself turns the 8-bit ones only."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def _palette_grey(image: Image.Image) -> npt.NDArray[np.uint8]:
    """The grey of each of 256 palette entries."""
    entries = image.crop((0, 0, 1, 1)).resize((256, 1))
    entries.putdata(range(256))
    return np.asarray(_luma(entries)).ravel()


def _luma(image: Image.Image) -> Image.Image:
    """Grey by Rec. 601 luma, composited over black."""
    if image.mode == "L" and not image.has_transparency_data:
        return image
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("L", "LA", "La") else "RGBA"
        layered = image if image.mode == mode else image.convert(mode)
        return ImageChops.multiply(layered.convert("L"), layered.getchannel("A"))
    if image.mode in ("CMYK", "LAB"):
        image = image.convert("RGB")
    return image.convert("L")


def _orientation(image: ImageFile) -> int:
    """EXIF orientation 1 to 8; 1 where there is none or it cannot be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except _PILLOW_ERRORS:  # a broken EXIF block is no reason to refuse a whole film
        return 1
    return orientation if orientation in range(1, 9) else 1


def _turned(plane: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """The plane as EXIF says it is to be seen."""
    if orientation >= 5:
        plane = plane.T
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return plane
