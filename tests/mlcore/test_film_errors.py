"""Files that are refused, each with its error code and within limits."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from mlcore.engine.films.errors import CODES, MIN_SIDE, check_size
from mlcore.engine.films.film import FilmError, read_film
from tests.films import ENCODERS, bomb_png, encode, hostile_files, synthetic_film
from tests.mlcore.film_checks import check_outcome, refused

FILM = np.ascontiguousarray(synthetic_film("PNEUMONIA", seed=7, size=128)[:96])
SLOW_IS = 5.0

# As in production: Pillow warns about damage that it can skip.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.mark.parametrize("name", sorted(hostile_files()))
def test_hostile_file_is_refused_with_its_code(name):
    file = hostile_files()[name]
    started = time.process_time()
    error = refused(file.data)
    assert error.code == file.code
    assert str(error).endswith(".")
    assert time.process_time() - started < SLOW_IS


def test_error_details_contain_the_numbers():
    assert refused(bomb_png(9_000)).detail == {"megapixels": 81.0, "limit": 64.0}
    large = refused(encode(FILM, "bmp"), max_bytes=4096)
    assert large.code == "too_large"
    assert large.detail["limit"] == 0.0
    assert refused(hostile_files()["zip"].data).detail == {"kind": "ZIP archive"}
    assert refused(hostile_files()["ct_dicom"].data).detail == {"modality": "CT"}
    assert refused(hostile_files()["tiny"].data).detail == {"width": 16, "height": 16, "limit": 64}
    assert "81 megapixels" in str(refused(bomb_png(9_000)))


def test_every_code_has_its_own_message():
    details = {
        "megabytes": 40,
        "megapixels": 80,
        "limit": 64,
        "width": 3,
        "height": 3,
        "kind": "ZIP archive",
        "modality": "CT",
        "format": "PNG",
    }
    sentences = {str(FilmError(code, **details)) for code in CODES}
    assert len(sentences) == len(CODES)
    assert not any("%" in sentence for sentence in sentences)


class TestLimits:
    def test_byte_limit(self):
        data = encode(FILM, "png")
        assert read_film(data, max_bytes=len(data)).byte_size == len(data)
        assert refused(data, max_bytes=len(data) - 1).code == "too_large"

    @pytest.mark.parametrize("name", ["jpeg", "png", "bmp", "tiff", "webp", "webp_rgba"])
    def test_pixel_limit(self, name):
        data = encode(FILM, name)
        assert read_film(data, max_pixels=FILM.size).pixels.size == FILM.size
        assert refused(data, max_pixels=FILM.size - 1).code == "too_many_pixels"

    def test_lossy_webp_size_is_checked_before_decoding(self):
        data = encode(FILM, "webp_lossy")
        assert refused(data, max_pixels=FILM.size - 1).code == "too_many_pixels"

    def test_minimum_side(self):
        check_size(MIN_SIDE, MIN_SIDE, 10_000)
        for sides in ((MIN_SIDE - 1, 500), (500, MIN_SIDE - 1)):
            with pytest.raises(FilmError) as caught:
                check_size(*sides, 64_000_000)
            assert caught.value.code == "too_small"

    def test_pillow_limits_are_restored(self):
        before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
        refused(bomb_png(10_000))  # between Pillow's limits for a warning and an error
        refused(bomb_png(60_000))
        after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
        assert after == before
        assert before[1] is False

    def test_progressive_jpeg_of_a_thousand_scans_is_not_decoded(self):
        data = encode(FILM, "jpeg_progressive")
        scan = data[data.rfind(b"\xff\xda") : -2]
        assert refused(data[:-2] + scan * 1000 + b"\xff\xd9").code == "too_complex"


@pytest.mark.parametrize(
    ("start", "code", "detail"),
    [
        (b"PK\x05\x06", "archive", "ZIP archive"),
        (b"Rar!\x1a\x07\x01", "archive", "RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "archive", "7-Zip archive"),
        (b"BZh91AY", "archive", "bzip2 archive"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "unsupported", "JPEG 2000"),
        (b"\0\0\0\x20ftypheic", "unsupported", "HEIF/AVIF"),
        (bytes(257) + b"ustar", "archive", "tar archive"),
    ],
)
def test_other_file_types_are_named(start, code, detail):
    error = refused(start + bytes(200))
    assert error.code == code
    assert detail in error.detail.values()


def test_text_that_begins_like_a_bitmap_is_refused():
    assert refused(b"BM is short for bone marrow. " * 9).code == "not_an_image"


@pytest.mark.parametrize("name", ["jpeg", "jpeg_progressive", "png", "bmp", "webp"])
@pytest.mark.parametrize("lost", [1, 2, 40, 0.2, 0.5, 0.9])
def test_truncated_file_is_reported_truncated(name, lost):
    data = encode(FILM, name)
    kept = len(data) - (lost if isinstance(lost, int) else int(lost * len(data)))
    if name == "png" and lost in (1, 2):
        kept -= 12  # otherwise only the checksum of the last chunk would be missing
    assert refused(data[:kept]).code == "truncated"


@pytest.mark.parametrize(
    ("name", "code"),
    # The first has its directory before the pixels; the others have lost theirs.
    [("tiff", "truncated"), ("tiff_lzw", "corrupt"), ("tiff16_deflate", "corrupt")],
)
@pytest.mark.parametrize("lost", [0.2, 0.5, 0.9])
def test_truncated_tiff_is_refused(name, code, lost):
    data = encode(FILM, name)
    assert refused(data[: int(len(data) * (1 - lost))]).code == code


def test_twelve_bit_jpeg_is_unsupported():
    data = bytearray(encode(FILM, "jpeg"))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert refused(bytes(data)).code == "unsupported"


class TestRandomBytes:
    """Any bytes give a film or a FilmError, in time."""

    quick = settings(max_examples=200, deadline=5000, suppress_health_check=list(HealthCheck))
    names = st.sampled_from(sorted(ENCODERS))
    marks = st.sampled_from(
        [encode(FILM, name)[:30] for name in sorted(ENCODERS)] + [b"", b"GIF89a"]
    )

    @quick
    @given(marks, st.integers(0, 30), st.binary(max_size=400))
    def test_noise(self, mark, kept, noise):
        check_outcome(mark[:kept] + noise)

    @quick
    @given(names, st.floats(0, 1))
    def test_truncations(self, name, share):
        data = encoded(name)
        check_outcome(data[: int(share * len(data))])

    @quick
    @given(names, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=8))
    def test_bit_flips(self, name, flips):
        data = bytearray(encoded(name))
        for share, bit in flips:
            # Cubed, so that most flips hit the headers.
            data[int(share**3 * (len(data) - 1))] ^= 1 << bit
        check_outcome(bytes(data))


@cache
def encoded(name: str) -> bytes:
    return encode(FILM, name)
