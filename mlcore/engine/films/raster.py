"""Decoding of JPEG, PNG, BMP, TIFF and WebP with Pillow, to grey.

Pillow's plugins are called directly instead of through `Image.open`, so that no other format can be
reached and Pillow's process-wide limit against decompression bombs does not apply; the size in the
header is checked here before any pixel is decoded.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    TiffImageFile,
)
from PIL.WebPImagePlugin import WebPImageFile

from mlcore.engine.films import deep, grey, jpeg, plane, tiff
from mlcore.engine.films.errors import FilmError, check_size

_PLUGINS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "PNG": PngImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
}
# Pillow raises these for damaged files, because its plugins unpack and index unchecked bytes. For
# some damage it only warns, which is an error in processes that turn warnings into errors.
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
# In Pillow's messages about intact files of an unsupported variant, such as a 12-bit JPEG.
_VARIANT_WORDS = ("unsupported", "unknown pixel mode", "not available", "cannot handle")
_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Raster:
    """A decoded image.

    Attributes:
        values: (height, width) grey levels: uint8; or uint16, 32-bit integers or floats as stored.
        bits: bits per sample in the file.
        photometric: how the file stores colours, in DICOM's terms.
        is_inverted: whether low values are white; never for uint8.
        orientation: EXIF orientation, not yet applied.
    """

    values: npt.NDArray[Any]
    bits: int
    photometric: str
    is_inverted: bool = False
    orientation: int = 1

    def shown(self) -> npt.NDArray[np.uint8]:
        """Return upright uint8 pixels, higher is whiter.

        Raises:
            FilmError: corrupt, if a value is not finite.
        """
        if self.values.dtype == np.uint8:
            return _upright(self.values, self.orientation)
        convert = grey.from_uint16 if self.values.dtype == np.uint16 else grey.from_wide
        pixels = _finite(convert, self.values)
        return _upright(~pixels if self.is_inverted else pixels, self.orientation)

    def plane(self) -> plane.Plane:
        """Return the film at its stored depth, whose `Plane.shown` equals `shown`.

        Raises:
            FilmError: corrupt, if a value is not finite.
        """
        if self.values.dtype == np.uint8:
            return plane.of_bytes(_upright(self.values, self.orientation), bits=min(8, self.bits))
        convert = plane.of_uint16 if self.values.dtype == np.uint16 else plane.of_wide
        found = _finite(convert, self.values, bits=self.bits, is_inverted=self.is_inverted)
        return replace(found, values=_upright(found.values, self.orientation))


def _finite(convert: Callable[..., Any], values: npt.NDArray[Any], **options: Any) -> Any:
    try:
        return convert(values, **options)
    except ValueError as error:
        raise FilmError("corrupt", format="TIFF") from error


def read_raster(data: bytes, format: str, *, max_pixels: int) -> Raster:
    """Decode a file whose format has been identified.

    Raises:
        FilmError: animated, too_many_pixels, too_small, truncated, unsupported or corrupt.
    """
    if format == "JPEG":
        return _read_jpeg(data, max_pixels)
    _check_before_parsing(data, format, max_pixels)
    try:
        wraps = False
        if format == "TIFF":
            tiff.check_main_image(data)
            wraps = tiff.is_unsigned_32_bit(data)
            data = tiff.readable_by_pillow(data)
        image = _PLUGINS[format](io.BytesIO(data))
        frames_follow = bool(getattr(image, "is_animated", False))
    except FilmError:
        raise
    except _PILLOW_ERRORS as error:
        raise _refusal(data, format, error) from error
    with image:
        if frames_follow:
            raise FilmError("animated", format=format)
        check_size(*image.size, max_pixels)
        try:
            bits = _bits(image, data)
            photometric = _photometric(image)
            if bits == 16 and deep.has_deep_colours(image):
                luma = deep.luma_of_colours(image, _PLUGINS[format](io.BytesIO(data)))
                return Raster(luma, bits, photometric, orientation=_orientation(image))
            image.load()
            # After load: the TIFF plugin rotates the image itself.
            values, orientation = _values(image, wraps=wraps), _orientation(image)
            is_inverted = values.dtype != np.uint8 and _white_is_zero(image)
            return Raster(values, bits, photometric, is_inverted, orientation)
        except _PILLOW_ERRORS as error:
            raise _refusal(data, format, error) from error


def _read_jpeg(data: bytes, max_pixels: int) -> Raster:
    """Decode a JPEG, which ends at its own end marker, whatever a phone wrote after it."""
    try:
        stream = jpeg.parse(data)
        check_size(stream.width, stream.height, max_pixels)
        jpeg.check_process(stream, "JPEG")
        image = jpeg.decode(data, stream, luma=True)
        colours = {1: "MONOCHROME2", 3: "YBR_FULL"}.get(stream.components, "CMYK")
        return Raster(_values(image), 8, colours, orientation=_orientation(image))
    except jpeg.DamagedJpegError as error:
        raise FilmError("truncated" if error.cut else "corrupt", format="JPEG") from error
    except FilmError:
        raise
    except _PILLOW_ERRORS as error:
        raise _refusal(data, "JPEG", error) from error


def refuse_gif(data: bytes) -> FilmError:
    """Return the error for a GIF, which is never accepted; animated ones get their own."""
    try:
        is_animated = GifImageFile(io.BytesIO(data)).is_animated
    except _PILLOW_ERRORS:
        is_animated = False
    return (
        FilmError("animated", format="GIF")
        if is_animated
        else FilmError("unsupported", format="GIF")
    )


def _check_before_parsing(data: bytes, format: str, max_pixels: int) -> None:
    """Reject files that Pillow would spend much time on, or accept although they are damaged."""
    if _is_cut(data, format):
        raise FilmError("truncated", format=format)
    if format == "WEBP":
        # The decoder allocates the whole canvas when it opens the file.
        width, height, animated = _webp_canvas(data)
        if animated:
            raise FilmError("animated", format=format)
        check_size(width, height, max_pixels)


def _is_cut(data: bytes, format: str) -> bool:
    """Return whether the file is truncated, judged by the end marker of its format.

    Decoders fill a missing lower part with grey, and no reading may be based on that.
    """
    if format == "PNG":
        return data.rfind(b"IEND") < 0
    if format == "WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    return False


def _webp_canvas(data: bytes) -> tuple[int, int, bool]:
    """Return width, height and whether it is animated, from the first chunk of a WebP file."""
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
    """Translate a decoder's exception: truncated, damaged or an unsupported variant."""
    text = str(error).lower()
    if "truncated" in text or "not enough image data" in text or isinstance(error, EOFError):
        return FilmError("truncated", format=format)
    if format == "BMP" and len(data) < int.from_bytes(data[2:6], "little"):
        return FilmError("truncated", format=format)
    if any(words in text for words in _VARIANT_WORDS):
        return FilmError("unsupported", format=format)
    return FilmError("corrupt", format=format)


def _bits(image: ImageFile, data: bytes) -> int:
    """Return the bits per sample as stored in the file."""
    if isinstance(image, PngImageFile):
        return data[24]  # IHDR is always the first chunk
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(BITSPERSAMPLE, (1,))[0])
    return 1 if image.mode == "1" else 8


def _photometric(image: ImageFile) -> str:
    if image.mode == "P":
        return "PALETTE COLOR"
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    if image.mode == "YCbCr":
        return "YBR_FULL"
    if len(image.getbands()) >= 3:
        return "RGB"
    return "MONOCHROME1" if _white_is_zero(image) else "MONOCHROME2"


def _values(image: ImageFile, *, wraps: bool = False) -> npt.NDArray[Any]:
    """Return the stored values of a grey image of more than 8 bits; uint8 grey of any other.

    Transparent areas become black.

    Args:
        image: a loaded image.
        wraps: values are unsigned 32-bit integers, which Pillow reads as signed ones.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16, copy=False)
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        return values.view(np.uint32) if wraps else values
    if image.mode == "P":
        return grey.looked_up(_palette_grey(image), np.asarray(image))
    return np.asarray(_luma(image))


def _white_is_zero(image: ImageFile) -> bool:
    """Return whether 0 is white in a deep TIFF; Pillow only inverts 8-bit ones itself."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def _palette_grey(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the grey level of each of 256 palette entries."""
    entries = image.crop((0, 0, 1, 1)).resize((256, 1))
    entries.putdata(range(256))
    return np.asarray(_luma(entries)).ravel()


def _luma(image: Image.Image) -> Image.Image:
    """Convert to grey by Rec. 601 luma, composited over black."""
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
    """Return the EXIF orientation, 1 to 8; 1 if it is missing or cannot be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except _PILLOW_ERRORS:  # a damaged EXIF block does not make the film unusable
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright(plane: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    return np.ascontiguousarray(_oriented(plane, orientation))


def _oriented(plane: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Apply an EXIF orientation."""
    if orientation >= 5:
        plane = plane.T
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return plane
