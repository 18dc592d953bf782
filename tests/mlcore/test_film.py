"""Reading image files and rendering films. See test_film_errors.py and test_dicom.py."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mlcore.engine.films import grey
from mlcore.engine.films.errors import MAX_ASPECT_RATIO, MIN_SIDE
from mlcore.engine.films.film import FilmError, read_film, render_film
from tests.films import ENCODERS, bomb_png, encode, encode_dicom, hostile_files, synthetic_film
from tests.mlcore.film_checks import refused

FILM = synthetic_film("PNEUMONIA", seed=7, size=128)
# Not square, so that a rotated film has another shape.
FILM = np.ascontiguousarray(FILM[:96])
LOSSY = {name for name in ENCODERS if name.startswith("jpeg")} | {"webp_lossy"}

# As in production: Pillow warns about damage that it can skip.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - LOSSY - {"png_1bit"}))
def test_lossless_encodings_preserve_pixels(name):
    film = read_film(encode(FILM, name))
    assert np.array_equal(film.pixels, FILM)


@pytest.mark.parametrize("name", sorted(LOSSY))
def test_lossy_encodings_are_close_to_the_film(name):
    film = read_film(encode(FILM, name))
    assert film.pixels.shape == FILM.shape
    assert np.abs(film.pixels.astype(int) - FILM).mean() < 2


def test_one_bit_images_become_black_and_white():
    film = read_film(encode(FILM, "png_1bit"))
    assert set(np.unique(film.pixels)) == {0, 255}
    assert film.source_bits == 1


@pytest.mark.parametrize(
    ("name", "format", "bits"),
    [
        ("jpeg", "JPEG", 8),
        ("png", "PNG", 8),
        ("png16", "PNG", 16),
        ("bmp", "BMP", 8),
        ("tiff", "TIFF", 8),
        ("tiff16", "TIFF", 16),
        ("webp", "WEBP", 8),
    ],
)
def test_film_attributes(name, format, bits):
    data = encode(FILM, name)
    film = read_film(data)
    assert (film.format, film.source_bits) == (format, bits)
    assert (film.width, film.height) == (128, 96)
    assert film.byte_size == len(data)
    assert film.sha256 == hashlib.sha256(data).hexdigest()
    assert film.header is None


@pytest.mark.parametrize("name", ["jpeg", "png16", "png_palette", "tiff_rotated", "webp"])
def test_pixels_are_read_only_contiguous_uint8(name):
    pixels = read_film(encode(FILM, name)).pixels
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    image, exif = Image.fromarray(FILM), Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(buffer)))
    assert np.array_equal(read_film(buffer.getvalue()).pixels, upright)


def test_damaged_exif_block_is_ignored():
    image, buffer = Image.fromarray(FILM), io.BytesIO()
    image.save(buffer, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_film(buffer.getvalue()).pixels.shape == FILM.shape


def test_transparency_becomes_black():
    image = Image.fromarray(FILM).convert("RGBA")
    alpha = np.full(FILM.shape, 255, np.uint8)
    alpha[:, :40] = 0
    image.putalpha(Image.fromarray(alpha))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    pixels = read_film(buffer.getvalue()).pixels
    assert not pixels[:, :40].any()
    assert np.array_equal(pixels[:, 40:], FILM[:, 40:])


def test_transparent_palette_entry_becomes_black():
    image, buffer = Image.fromarray(FILM).convert("P"), io.BytesIO()
    image.putpalette([level for level in range(256) for _ in range(3)])
    image.save(buffer, "PNG", transparency=bytes([255] * 200 + [0] * 56))
    expected = np.where(FILM < 200, FILM, 0)
    assert np.array_equal(read_film(buffer.getvalue()).pixels, expected)


def test_colour_becomes_luma():
    bands = np.zeros((90, 90, 3), np.uint8)
    for channel in range(3):
        bands[:, 30 * channel : 30 * channel + 30, channel] = 255
    buffer = io.BytesIO()
    Image.fromarray(bands).save(buffer, "PNG")
    assert read_film(buffer.getvalue()).pixels[0, ::30].tolist() == [76, 150, 29]


class TestSixteenBits:
    def test_twelve_bit_levels_are_stretched_to_the_grey_scale(self):
        film = read_film(_png16(FILM.astype(np.uint16) * 16))
        assert film.pixels.min() == 0
        assert film.pixels.max() == 255
        assert np.corrcoef(film.pixels.ravel(), FILM.ravel())[0, 1] > 0.999

    def test_one_hot_pixel_does_not_darken_the_film(self):
        levels = FILM.astype(np.uint16) * 16
        levels[0, 0] = 65535
        assert read_film(_png16(levels)).pixels.mean() > FILM.mean()

    def test_big_endian_tiff(self):
        levels = FILM.astype(">u2") * 257
        film = read_film(_tiff(levels.tobytes(), bits=16, order=">"))
        assert np.array_equal(film.pixels, FILM)

    def test_sixteen_bit_white_is_zero_tiff(self):
        levels = (65535 - FILM.astype(np.uint16) * 257).astype("<u2")
        film = read_film(_tiff(levels.tobytes(), bits=16, photometric=0))
        assert np.array_equal(film.pixels, FILM)

    @pytest.mark.parametrize(("kind", "dtype"), [(1, "<u4"), (2, "<i4"), (3, "<f4")])
    def test_thirty_two_bit_tiff_is_scaled_to_its_own_range(self, kind, dtype):
        levels = FILM.astype(dtype) * 1000
        film = read_film(_tiff(levels.tobytes(), bits=32, sample_format=kind))
        own = np.rint((FILM - FILM.min()) * (255 / np.ptp(FILM)))
        assert np.abs(film.pixels - own).max() <= 1

    def test_nan_pixels_are_refused(self):
        levels = FILM.astype("<f4")
        levels[5, 5] = np.nan
        assert refused(_tiff(levels.tobytes(), bits=32, sample_format=3)).code == "corrupt"


def test_reading_is_thread_safe():
    files = [encode(FILM, name) for name in ("jpeg_rgb", "png16", "tiff_lzw", "webp")]
    files += [encode_dicom(FILM), bomb_png(10_000), hostile_files()["truncated_jpeg"].data]

    def read(data: bytes) -> object:
        try:
            return read_film(data).pixels.tobytes()
        except FilmError as error:
            return error.code

    alone = [read(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, files * 20)) == alone * 20


def test_reading_an_image_imports_neither_pydicom_nor_django():
    code = (
        "import sys\n"
        "from mlcore.engine.films.film import read_film\n"
        "read_film(sys.stdin.buffer.read())\n"
        "print({'pydicom', 'django', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=encode(FILM, "jpeg"), capture_output=True, check=True
    )
    assert done.stdout.strip() == b"set()"


class TestRendering:
    def test_film_is_rendered_as_a_grey_jpeg(self):
        drawn = Image.open(io.BytesIO(render_film(read_film(encode(FILM, "png16")))))
        assert (drawn.format, drawn.mode, drawn.size) == ("JPEG", "L", (128, 96))
        assert np.abs(np.asarray(drawn).astype(int) - FILM).mean() < 3

    def test_rendering_contains_only_pixels(self):
        image, buffer, exif = Image.fromarray(FILM), io.BytesIO(), Image.Exif()
        exif[0x010E] = "Jane Doe, born 2023"
        image.save(buffer, "JPEG", exif=exif, comment=b"Jane Doe", icc_profile=b"Jane Doe" * 20)
        for data in (buffer.getvalue(), encode_dicom(FILM, patient_name="Doe^Jane")):
            drawn = render_film(read_film(data))
            assert b"Jane" not in drawn
            info = Image.open(io.BytesIO(drawn)).info
            assert set(info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}

    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(MIN_SIDE, MAX_ASPECT_RATIO * MIN_SIDE),
        st.integers(MIN_SIDE, MAX_ASPECT_RATIO * MIN_SIDE),
        st.sampled_from(["png", "jpeg", "tiff16", "webp"]),
    )
    def test_rendering_keeps_the_shape(self, height, width, name):
        pixels = np.resize(FILM, (height, width))
        film = read_film(encode(pixels, name))
        assert read_film(render_film(film)).pixels.shape == (height, width)

    @pytest.mark.parametrize(("max_side", "size"), [(500, (128, 96)), (64, (64, 48)), (1, (1, 1))])
    def test_large_film_is_reduced_and_small_film_kept(self, max_side, size):
        drawn = render_film(read_film(encode(FILM, "png")), max_side=max_side)
        assert Image.open(io.BytesIO(drawn)).size == size


class TestGrey:
    def test_uniform_grey_with_faint_noise_is_blank(self):
        noise = np.random.default_rng(0).normal(120, 0.8, (200, 200))
        assert grey.is_blank(noise.astype(np.uint8))
        assert not grey.is_blank(FILM)

    def test_range_used_by_half_is_kept(self):
        assert grey.used_range(np.linspace(0, 40_000, 999), 0, 65535) == (0, 65535)
        low, high = grey.used_range(np.linspace(100, 4_000, 999), 0, 65535)
        assert (round(low), round(high)) == (104, 3996)

    def test_spread_clips_and_maps_a_single_level_to_black(self):
        assert grey.spread(np.array([-5, 0, 5, 10, 99]), 0, 10).tolist() == [0, 0, 128, 255, 255]
        assert grey.spread(np.array([7, 7]), 7, 7).tolist() == [0, 0]

    def test_wide_integers_within_sixteen_bits_are_scaled_as_sixteen_bits(self):
        assert np.array_equal(grey.from_wide(FILM.astype(np.int32) * 257), FILM)


def _png16(levels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()


def _tiff(
    data: bytes, *, bits: int, photometric: int = 1, sample_format: int = 1, order: str = "<"
) -> bytes:
    """Return a one-strip grey TIFF of FILM's size."""
    height, width = FILM.shape
    entries = [
        *[(256, width), (257, height), (258, bits), (259, 1), (262, photometric)],
        *[(273, 8), (277, 1), (278, height), (279, len(data)), (339, sample_format)],
    ]
    directory = struct.pack(order + "H", len(entries))
    for tag, value in entries:
        directory += struct.pack(order + "HHII", tag, 4, 1, value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8 + len(data)) + data + directory + bytes(4)
