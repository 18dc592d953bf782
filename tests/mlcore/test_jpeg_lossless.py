"""The lossless-JPEG decoder, against the encoder in `tests.films.jpeg_lossless`."""

from __future__ import annotations

import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.engine.films.dicom import jpeg_huffman, jpeg_lossless
from mlcore.engine.films.dicom.jpeg_lossless import (
    JpegLosslessError,
    TruncatedStreamError,
    UnsupportedStreamError,
)
from tests.films import synthetic_film
from tests.films.jpeg_lossless import UNEQUAL_CODES, encode_jpeg_lossless, jpeg_lossless_header

FILM = synthetic_film("PNEUMONIA", seed=2, size=64)[:50]


def decode(stream: bytes) -> np.ndarray:
    """Decode a stream that states the size of FILM."""
    return jpeg_lossless.decode(bytes(stream), FILM.shape)


@pytest.mark.parametrize("precision", [8, 12, 16])
@pytest.mark.parametrize("predictor", range(1, 8))
def test_every_predictor_and_depth(predictor, precision):
    samples = FILM.astype(np.uint16) * 257 >> (16 - precision)
    stream = encode_jpeg_lossless(samples, precision=precision, predictor=predictor)
    assert np.array_equal(jpeg_lossless.decode(stream, samples.shape), samples)


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
    assert np.array_equal(jpeg_lossless.decode(stream, samples.shape), samples)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 16), st.integers(1, 7), st.permutations(range(17)), st.integers(0, 2**32 - 1))
def test_codes_of_unequal_length(precision, predictor, categories, seed):
    """Codes of 2 to 16 bits with 0 to 15 extra bits: runs of many codes, and codes of 31 bits."""
    rng = np.random.default_rng(seed)
    steps = np.rint(rng.standard_cauchy((20, 30))).astype(np.int64) % 2**precision
    stream = encode_jpeg_lossless(
        steps,
        precision=precision,
        predictor=predictor,
        code_counts=UNEQUAL_CODES,
        categories=categories,
    )
    assert np.array_equal(jpeg_lossless.decode(stream, steps.shape), steps)


def test_category_16():
    samples = np.array([[0, 32768, 0, 32768, 65535], [32768, 0, 1, 32769, 2]] * 3)
    for predictor in range(1, 8):
        stream = encode_jpeg_lossless(samples, precision=16, predictor=predictor)
        assert np.array_equal(jpeg_lossless.decode(stream, samples.shape), samples)


@pytest.mark.parametrize("predictor", [5, 6, 7])
@pytest.mark.parametrize("shape", [(700, 3), (2, 900), (1100, 2)])
def test_images_longer_than_the_strips_that_are_predicted_at_once(shape, predictor):
    samples = np.random.default_rng(1).integers(0, 4096, shape)
    for restart in (0, 3):
        stream = encode_jpeg_lossless(
            samples, precision=12, predictor=predictor, rows_per_restart=restart
        )
        assert np.array_equal(jpeg_lossless.decode(stream, shape), samples)


def test_stream_of_more_than_one_block():
    samples = np.random.default_rng(0).integers(0, 65536, (300, 300))
    stream = encode_jpeg_lossless(samples, precision=16)
    assert len(stream) * 8 > jpeg_huffman._BLOCK_BITS
    assert np.array_equal(jpeg_lossless.decode(stream, samples.shape), samples)


def test_point_transform_is_undone():
    stream = bytearray(encode_jpeg_lossless(np.full((4, 4), 1 << 6), precision=7))
    stream[stream.index(b"\xff\xc3") + 4] = 8  # one bit deeper, removed by the point transform
    stream[stream.index(b"\xff\xda") + 9] = 1
    assert (jpeg_lossless.decode(bytes(stream), (4, 4)) == 1 << 7).all()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
def test_truncated_stream_is_refused(share):
    stream = encode_jpeg_lossless(FILM, precision=8)
    with pytest.raises(TruncatedStreamError):
        decode(stream[: int(len(stream) * share)])


def test_missing_restart_intervals_are_refused():
    stream = encode_jpeg_lossless(FILM, precision=8, rows_per_restart=10)
    with pytest.raises(TruncatedStreamError):
        decode(stream[: stream.index(b"\xff\xd2")] + b"\xff\xd9")


@pytest.mark.parametrize(
    ("marker", "offset", "value", "error"),
    [
        (b"\xff\xc3", 1, 0xC0, UnsupportedStreamError),  # another process
        (b"\xff\xc3", 9, 3, UnsupportedStreamError),  # colour
        (b"\xff\xc3", 4, 17, JpegLosslessError),  # depth
        (b"\xff\xc3", 6, 51, JpegLosslessError),  # more rows than expected
        (b"\xff\xc3", 8, 63, JpegLosslessError),  # fewer columns than expected
        (b"\xff\xda", 6, 0x10, JpegLosslessError),  # missing table
        (b"\xff\xda", 7, 0, JpegLosslessError),  # no predictor
        (b"\xff\xda", 9, 8, JpegLosslessError),  # no bits left after the point transform
        (b"\xff\xc4", 5, 200, JpegLosslessError),  # more codes than fit
        (b"\xff\xc4", 0, 0, JpegLosslessError),  # no marker
    ],
)
def test_invalid_streams_are_refused(marker, offset, value, error):
    stream = bytearray(encode_jpeg_lossless(FILM, precision=8))
    stream[stream.index(marker) + offset] = value
    with pytest.raises(error):
        decode(stream)


def test_a_second_frame_header_is_refused():
    """Its size would escape the check of the first one."""
    stream = encode_jpeg_lossless(FILM, precision=8)
    start, end = stream.index(b"\xff\xc3"), stream.index(b"\xff\xc4")
    with pytest.raises(JpegLosslessError, match="More than one frame header"):
        decode(stream[:end] + stream[start:end] + stream[end:])


def test_a_code_that_the_table_does_not_have():
    header = jpeg_lossless_header((1, 8), precision=8)
    with pytest.raises(JpegLosslessError, match="invalid code"):
        jpeg_lossless.decode(header + b"\xf0" * 9 + b"\xff\xd9", (1, 8))


@pytest.mark.parametrize("extra", [b"\x12", b"\x00\x01", b"\xff\x00\x80"])
def test_data_after_the_last_sample_mean_that_some_were_misread(extra):
    stream = encode_jpeg_lossless(FILM, precision=8)
    with pytest.raises(JpegLosslessError, match="do not end with the last sample"):
        decode(stream[:-2] + extra + stream[-2:])


@pytest.mark.parametrize("padding", [b"\x00", b"\xff", b"\xff\xff\xff", b"\xff\x00"])
def test_padding_after_the_last_sample_is_accepted(padding):
    stream = encode_jpeg_lossless(FILM, precision=8)
    assert np.array_equal(decode(stream[:-2] + padding + stream[-2:]), FILM)


@pytest.mark.parametrize("marker", [b"\xff\xd1", b"\xff\xd3"])
def test_restart_markers_out_of_order(marker):
    """For example, after an interval was lost or repeated."""
    stream = encode_jpeg_lossless(FILM, precision=8, rows_per_restart=10)
    with pytest.raises(JpegLosslessError, match="out of order"):
        decode(stream.replace(b"\xff\xd2", marker))


def test_more_restart_intervals_than_the_size_needs():
    stream = encode_jpeg_lossless(FILM, precision=8, rows_per_restart=10)
    with pytest.raises(JpegLosslessError, match="repeated"):
        decode(stream[:-2] + b"\xff\xd4\x00\x00" + stream[-2:])


@pytest.mark.parametrize(
    "start",
    [
        b"\xff" * 2_000_000,  # fill bytes
        b"\xff\xe0\0\2" * 500_000,  # empty segments
        (b"\xff\xc4\0\x15\0\1\1" + bytes(14) + b"\0\1") * 90_000,  # Huffman tables
    ],
    ids=["fill", "segments", "tables"],
)
def test_millions_of_segments_are_refused_at_once(start):
    started = time.process_time()
    with pytest.raises(JpegLosslessError, match="More than 1000 marker segments"):
        decode(b"\xff\xd8" + start + jpeg_lossless_header(FILM.shape, precision=8)[2:])
    assert time.process_time() - started < 1


def test_a_scan_of_fill_bytes_takes_linear_time():
    started = time.process_time()
    with pytest.raises(TruncatedStreamError):
        decode(jpeg_lossless_header(FILM.shape, precision=8) + b"\xff" * 2_000_000)
    assert time.process_time() - started < 2


def test_thousands_of_restart_intervals():
    shape = 8000, 64
    header = jpeg_lossless_header(
        shape, precision=8, restart_interval=64, code_counts=b"\1" + bytes(15), categories=[0]
    )
    rows = [bytes(8) + bytes([0xFF, 0xD0 + row % 8]) for row in range(shape[0] - 1)]
    started = time.process_time()
    image = jpeg_lossless.decode(header + b"".join(rows) + bytes(8) + b"\xff\xd9", shape)
    assert (image == 128).all()
    assert time.process_time() - started < 4


@pytest.mark.slow
def test_64_megapixels_with_predictor_6_take_less_than_five_seconds():
    """The largest film that an upload may hold, in a file of 31 MB."""
    shape = 8000, 8000
    # Codes 000 and 0010 for categories 1 and 0: each sample takes four bits.
    header = jpeg_lossless_header(
        shape, precision=12, predictor=6, code_counts=b"\0\0\1\1" + bytes(12), categories=[1, 0]
    )
    nibbles = np.random.default_rng(0).integers(0, 3, shape, np.uint8)
    data = (nibbles[:, ::2] << 4 | nibbles[:, 1::2]).tobytes()
    started = time.process_time()
    image = jpeg_lossless.decode(header + data + b"\xff\xd9", shape)
    assert time.process_time() - started < 5
    differences = np.array([-1, 1, 0])[nibbles[1:, 1:]].astype(np.int16)
    guess = image[:-1, 1:] + (image[1:, :-1].astype(np.int32) - image[:-1, :-1] >> 1)
    assert np.array_equal((guess + differences) & 0xFFFF, image[1:, 1:])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=6))
def test_bit_flips_give_samples_or_an_error(flips):
    stream = bytearray(encode_jpeg_lossless(FILM, precision=8))
    for share, bit in flips:
        at = int(share**3 * (len(stream) - 1))
        if not 20 > at > 2:  # keep the size, which the caller checks
            stream[at] ^= 1 << bit
    with suppress(JpegLosslessError):
        assert decode(stream).shape == FILM.shape


def test_bit_flip_in_the_last_sample_gives_samples():
    stream = bytearray(encode_jpeg_lossless(FILM, precision=8))
    stream[-3] ^= 1 << 3
    decoded = decode(stream)
    assert decoded.shape == FILM.shape
    assert not np.array_equal(decoded, FILM)
    assert np.array_equal(decoded[:-1], FILM[:-1])
