"""The lossless JPEG decoder, tested with the encoder of the tests."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.engine.films.dicom import jpeg_lossless
from mlcore.engine.films.dicom.jpeg_lossless import (
    JpegLosslessError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from tests.films import synthetic_film
from tests.films.jpeg_lossless import encode_jpeg_lossless

FILM = synthetic_film("PNEUMONIA", seed=2, size=64)[:50]


@pytest.mark.parametrize("precision", [8, 12, 16])
@pytest.mark.parametrize("predictor", range(1, 8))
def test_every_predictor_and_depth(predictor, precision):
    samples = FILM.astype(np.uint16) * 257 >> (16 - precision)
    stream = encode_jpeg_lossless(samples, precision=precision, predictor=predictor)
    assert np.array_equal(jpeg_lossless.decode(stream), samples)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 30),
    st.integers(2, 16),
    st.integers(1, 7),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
)
def test_noise_of_any_size(rows, columns, precision, predictor, restart, seed):
    samples = np.random.default_rng(seed).integers(0, 2**precision, (rows, columns))
    stream = encode_jpeg_lossless(
        samples, precision=precision, predictor=predictor, rows_per_restart=restart
    )
    assert np.array_equal(jpeg_lossless.decode(stream), samples)


def test_stream_of_more_than_one_block():
    samples = np.random.default_rng(0).integers(0, 65536, (300, 300))
    stream = encode_jpeg_lossless(samples, precision=16)
    assert len(stream) * 8 > jpeg_lossless._BLOCK_BITS
    assert np.array_equal(jpeg_lossless.decode(stream), samples)


def test_point_transform_is_undone():
    stream = bytearray(encode_jpeg_lossless(np.full((4, 4), 1 << 6), precision=7))
    stream[stream.index(b"\xff\xc3") + 4] = 8  # one bit deeper, removed by the point transform
    stream[stream.index(b"\xff\xda") + 9] = 1
    assert (jpeg_lossless.decode(bytes(stream)) == 1 << 7).all()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
def test_truncated_stream_is_refused(share):
    stream = encode_jpeg_lossless(FILM, precision=8)
    with pytest.raises(TruncatedStreamError):
        jpeg_lossless.decode(stream[: int(len(stream) * share)])


def test_missing_restart_intervals_are_refused():
    stream = encode_jpeg_lossless(FILM, precision=8, rows_per_restart=10)
    with pytest.raises(TruncatedStreamError):
        jpeg_lossless.decode(stream[: stream.index(b"\xff\xd2")] + b"\xff\xd9")


@pytest.mark.parametrize(
    ("marker", "offset", "value", "error"),
    [
        (b"\xff\xc3", 1, 0xC0, UnsupportedStreamError),  # another process
        (b"\xff\xc3", 9, 3, UnsupportedStreamError),  # colour
        (b"\xff\xc3", 4, 17, JpegLosslessError),  # depth
        (b"\xff\xda", 6, 0x10, JpegLosslessError),  # missing table
        (b"\xff\xda", 7, 0, JpegLosslessError),  # no predictor
        (b"\xff\xda", 9, 8, JpegLosslessError),  # point transform removes all bits
        (b"\xff\xc4", 5, 200, JpegLosslessError),  # more codes than fit their length
        (b"\xff\xc4", 0, 0, JpegLosslessError),  # no marker
    ],
)
def test_invalid_streams_are_refused(marker, offset, value, error):
    stream = bytearray(encode_jpeg_lossless(FILM, precision=8))
    stream[stream.index(marker) + offset] = value
    with pytest.raises(error):
        jpeg_lossless.decode(bytes(stream))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=6))
def test_bit_flips_give_samples_or_an_error(flips):
    stream = bytearray(encode_jpeg_lossless(FILM, precision=8))
    for share, bit in flips:
        at = int(share**3 * (len(stream) - 1))
        if not 20 > at > 2:  # keep the size, which the caller checks
            stream[at] ^= 1 << bit
    with suppress(JpegLosslessError):
        assert jpeg_lossless.decode(bytes(stream)).shape == FILM.shape


def test_bit_flip_in_the_last_sample_gives_samples():
    stream = bytearray(encode_jpeg_lossless(FILM, precision=8))
    stream[-3] ^= 1 << 3
    decoded = jpeg_lossless.decode(bytes(stream))
    assert decoded.shape == FILM.shape
    assert not np.array_equal(decoded, FILM)
    assert np.array_equal(decoded[:-1], FILM[:-1])
