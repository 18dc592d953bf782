"""Colour images of 16 bits, TIFF of all kinds, and files that are recognised by name only."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mlcore.engine.films.film import read_film
from tests.films import encode, synthetic_film
from tests.mlcore.film_checks import refused

FILM = np.ascontiguousarray(synthetic_film("PNEUMONIA", seed=7, size=128)[:96])
LEVELS = np.rint(FILM.astype(float) * 4095 / 255).astype(np.uint16)


def png16(samples: np.ndarray, colour_type: int) -> bytes:
    """Encode (height, width, bands) uint16 as a PNG."""
    rows = samples.astype(">u2").reshape(len(samples), -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    size = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )  # fmt: skip


def tiff(pixels: np.ndarray, *, order: str = "<", big: bool = False, extra=(), photometric=1):
    """Encode a TIFF of one strip; `extra` holds further (tag, value) pairs."""
    height, width = pixels.shape[:2]
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    start = 16 if big else 8
    bits = 8 * pixels.dtype.itemsize
    entries = {
        256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: start, 277: bands,
        278: height, 279: len(data), 339: 1, **dict(extra),
    }  # fmt: skip
    kind, number, count = (16, "Q", "Q") if big else (4, "I", "H")
    directory = struct.pack(order + count, len(entries))
    after = start + len(data) + len(data) % 2
    tail = b""
    for tag, value in sorted(entries.items()):
        if tag in (258, 339) and bands > 1:
            shorts = struct.pack(order + f"{bands}H", *[value] * bands)
            field = shorts.ljust(8, b"\0") if big else None
            if field is None:
                place = after + 2 + 12 * len(entries) + 4
                field, tail = struct.pack(order + "I", place + len(tail)), tail + shorts
            directory += struct.pack(order + "HH" + number, tag, 3, bands) + field
        else:
            directory += struct.pack(order + "HH" + number * 2, tag, kind, 1, value)
    mark = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    mark += struct.pack(order + "HHQ", 8, 0, after) if big else struct.pack(order + "I", after)
    return mark + data + b"\0" * (len(data) % 2) + directory + bytes(8 if big else 4) + tail


class TestDeepColours:
    @pytest.mark.parametrize(("colour_type", "bands"), [(0, 1), (2, 3), (4, 2), (6, 4)])
    def test_png_of_16_bits_that_holds_12(self, colour_type, bands):
        samples = np.repeat(LEVELS[..., np.newaxis], bands, axis=2)
        if colour_type in (4, 6):
            samples[..., -1] = 65535
        grey = read_film(png16(LEVELS[..., np.newaxis], 0)).pixels
        found = read_film(png16(samples, colour_type))
        assert np.array_equal(found.pixels, grey)
        assert np.ptp(found.pixels) == 255
        assert found.source_bits == 16

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("big", [False, True])
    def test_rgb_tiff_of_16_bits_that_holds_12(self, order, big):
        samples = np.repeat(LEVELS[..., np.newaxis], 3, axis=2)
        grey = read_film(png16(LEVELS[..., np.newaxis], 0)).pixels
        data = tiff(samples, order=order, big=big, photometric=2)
        assert np.array_equal(read_film(data).pixels, grey)

    def test_luma_of_full_range_colours(self):
        samples = np.random.default_rng(0).integers(0, 65536, (*FILM.shape, 3)).astype(np.uint16)
        exact = samples @ np.array([0.299, 0.587, 0.114]) / 257
        assert np.abs(read_film(png16(samples, 2)).pixels - exact).max() <= 1


class TestTiff:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("big", [False, True])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_byte_orders_of_tiff_and_bigtiff(self, order, big, dtype):
        scale = 257 if dtype is np.uint16 else 1
        data = tiff(FILM.astype(dtype) * dtype(scale), order=order, big=big)
        assert np.array_equal(read_film(data).pixels, FILM)

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_unsigned_32_bits_do_not_wrap(self, order):
        data = tiff(FILM.astype(np.uint32) * np.uint32(16843009), order=order)
        low, high = int(FILM.min()), int(FILM.max())
        expected = (FILM.astype(float) - low) * 255 / (high - low)
        assert np.abs(read_film(data).pixels - expected).max() <= 1

    def test_reduced_first_image_is_refused(self):
        assert refused(tiff(FILM, extra=[(254, 1)])).code == "thumbnail"
        assert refused(tiff(FILM, extra=[(255, 2)])).code == "thumbnail"
        assert refused(tiff(FILM, extra=[(50706, 0x01040000)])).code == "thumbnail"

    def test_larger_image_in_a_sub_directory_is_refused(self):
        small, large = tiff(FILM), tiff(np.zeros((400, 300), np.uint8))
        offset = len(small) + 12
        directory = struct.unpack_from("<I", large, 4)[0]
        data = tiff(FILM, extra=[(330, offset)])
        body = data.ljust(offset, b"\0") + large[directory:]
        assert refused(body).code == "thumbnail"

    def test_smaller_image_in_a_sub_directory_is_not_the_film(self):
        offset = len(tiff(FILM)) + 12
        small = tiff(np.zeros((30, 20), np.uint8))
        directory = struct.unpack_from("<I", small, 4)[0]
        data = tiff(FILM, extra=[(330, offset)]).ljust(offset, b"\0") + small[directory:]
        assert np.array_equal(read_film(data).pixels, FILM)

    def test_directory_beyond_the_file_is_damage(self):
        data = tiff(FILM, order=">", big=True)
        assert refused(data[:8] + struct.pack(">Q", 10**12) + data[16:]).code in (
            "corrupt",
            "truncated",
        )


@pytest.mark.parametrize("brand", [b"heic", b"hevc", b"msf1", b"mif1", b"avif"])
def test_heic_brands_are_named(brand):
    data = b"\0\0\0\x1cftyp" + brand + bytes(4) + b"mif1heic" + bytes(200)
    assert refused(data).detail == {"format": "HEIF/AVIF"}
    other = b"\0\0\0\x18ftypxxxx" + bytes(4) + brand + bytes(200)
    assert refused(other).detail == {"format": "HEIF/AVIF"}


def test_video_is_no_image():
    assert refused(b"\0\0\0\x18ftypisom" + bytes(4) + b"isomavc1" + bytes(200)).code == (
        "not_an_image"
    )


@pytest.mark.parametrize("shape", [(64, 2000), (2000, 64)])
def test_strips_are_refused_by_their_shape(shape):
    error = refused(encode(np.resize(FILM, shape), "png"))
    assert (error.code, error.detail) == ("aspect_ratio", {"width": shape[1], "height": shape[0]})


def test_film_of_17_by_17_inches_fits_into_the_limit():
    side = 4318  # 17 inches at 0.1 mm
    levels = np.resize(FILM, (side, side)).astype(np.uint16) * np.uint16(257)
    data = tiff(levels)
    assert len(data) > 37_000_000
    assert read_film(data).pixels.shape == (side, side)


def test_small_image_file_is_still_read():
    buffer = io.BytesIO()
    Image.fromarray(FILM).save(buffer, "TIFF", compression="tiff_lzw")
    assert np.array_equal(read_film(buffer.getvalue()).pixels, FILM)
