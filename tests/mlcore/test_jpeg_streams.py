"""JPEG files that are damaged though closed, followed by something else, or of 12 bits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mlcore.engine.films.film import read_film
from tests.films import synthetic_film
from tests.mlcore.film_checks import refused

FILM = synthetic_film("PNEUMONIA", seed=7, size=256)
VARIANTS = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restart_rows": {"restart_marker_rows": 1},
    "restart_blocks": {"restart_marker_blocks": 5},
    "progressive_restart": {"progressive": True, "restart_marker_rows": 2},
}


def encoded(mode: str = "L", quality: int = 90, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(FILM).convert(mode).save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def decoded_by_pillow(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.draft("L", image.size)
    return np.asarray(image.convert("L"))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("quality", [20, 75, 98])
def test_intact_files_are_decoded_as_by_pillow(variant, mode, quality):
    data = encoded(mode, quality, **VARIANTS[variant])
    assert np.array_equal(read_film(data).pixels, decoded_by_pillow(data))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_cut_and_closed_is_damage(variant, mode, share):
    data = encoded(mode, **VARIANTS[variant])
    start = data.index(b"\xff\xda")
    cut = data[: start + int(share * (len(data) - start))].rstrip(b"\xff")
    assert refused(cut + b"\xff\xd9").code in ("truncated", "corrupt")
    assert refused(cut).code == "truncated"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_zeroed_end_is_damage(variant, mode):
    data = encoded(mode, **VARIANTS[variant])
    start = data.index(b"\xff\xda")
    kept = start + (len(data) - start) // 2
    assert refused(data[:kept] + bytes(len(data) - kept - 2) + b"\xff\xd9").code in (
        "truncated",
        "corrupt",
    )


def test_zeroed_block_inside_is_damage():
    data = encoded()
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    assert refused(data[:middle] + bytes(500) + data[middle + 500 :]).code == "corrupt"


@pytest.mark.parametrize(
    "after",
    [
        b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 50,
        b"\xff\xda" * 4000,  # looks like scans
        encoded(quality=20)[:300],  # a second image, cut
    ],
)
def test_what_follows_the_end_of_the_image_is_ignored(after):
    data = encoded("RGB")
    assert np.array_equal(read_film(data + after).pixels, decoded_by_pillow(data))


def test_preview_in_the_metadata_is_not_the_end():
    preview = encoded(quality=10)
    exif = b"Exif\0\0" + preview
    data = encoded()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    assert np.array_equal(read_film(data[:2] + segment + data[2:]).pixels, decoded_by_pillow(data))


def test_twelve_bits_have_their_own_sentence():
    data = bytearray(encoded())
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = 0xC1, 12
    error = refused(bytes(data))
    assert error.code == "jpeg_12_bit"
    assert "12 bits" in str(error)


@pytest.mark.parametrize(("process", "kind"), [(0xC3, "lossless JPEG"), (0xF7, "JPEG-LS")])
def test_other_processes_are_named(process, kind):
    data = bytearray(encoded())
    data[data.index(b"\xff\xc0") + 1] = process
    assert refused(bytes(data)).detail == {"format": kind}


def test_zeros_in_an_even_area_are_the_data():
    even = FILM.copy()
    even[64:] = 0
    buffer = io.BytesIO()
    Image.fromarray(np.tile(even, (4, 4))).save(buffer, "JPEG", quality=50, optimize=True)
    assert read_film(buffer.getvalue()).width == 1024


def test_extended_process_with_eight_bits_is_read():
    data = bytearray(encoded())
    data[data.index(b"\xff\xc0") + 1] = 0xC1
    assert np.array_equal(read_film(bytes(data)).pixels, decoded_by_pillow(encoded()))


def test_thousands_of_scans_are_refused():
    data = encoded(progressive=True)
    start = data.rindex(b"\xff\xda")
    assert refused(data[:-2] + data[start:-2] * 3000 + b"\xff\xd9").code == "too_complex"
