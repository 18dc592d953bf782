"""Pixels of DICOM files as devices store them: bits in words, windows, tables, byte orders.

The expected values were compared with dcmtk 3.6.7 (`dcm2pnm`), which shows the same within one
level.
"""

from __future__ import annotations

import io
import time

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from mlcore.engine.films.film import Film, read_film
from tests.films import edited_dicom, encode_dicom, synthetic_film
from tests.films.jpeg_lossless import encode_jpeg_lossless
from tests.mlcore.film_checks import refused

FILM = np.ascontiguousarray(synthetic_film("PNEUMONIA", seed=7, size=128)[:96])
LEVELS = np.rint(FILM.astype(float) * 4095 / 255).astype(np.int64)
BIG_ENDIAN = pydicom.uid.ExplicitVRBigEndian

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def film(change, **options) -> Film:
    return read_film(edited_dicom(FILM, change, **options))


def stored(words: np.ndarray, *, bits: int, high: int, signed: bool = False, **elements):
    """Return a change that stores 16-bit words with these bits."""

    def change(dataset: Dataset) -> None:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, high
        dataset.PixelRepresentation = int(signed)
        dataset.PixelData = (words & 0xFFFF).astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return change


def big_endian(data: bytes) -> bytes:
    """Store an uncompressed file in big endian, without preamble or file meta information."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    words = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    dataset.PixelData = words
    del dataset.file_meta
    buffer = io.BytesIO()
    plain = Dataset()
    plain.update(dataset)
    plain.save_as(buffer, little_endian=False, implicit_vr=False)
    return buffer.getvalue()


class TestBits:
    @pytest.mark.parametrize("high", [11, 13, 15])
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("overlay", [False, True])
    def test_high_bit(self, high, signed, overlay):
        shift = high - 11
        words = ((LEVELS - 2048 * signed) & 0xFFF) << shift
        if overlay:
            noise = np.random.default_rng(0).integers(0, 65536, words.shape)
            words |= noise & ~(0xFFF << shift)
        found = film(stored(words, bits=12, high=high, signed=signed))
        assert np.abs(found.pixels.astype(int) - FILM).max() <= 1

    def test_high_bit_in_rle(self):
        def shift(dataset: Dataset) -> None:
            stored(LEVELS << 4, bits=12, high=15)(dataset)
            dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)

        assert np.abs(film(shift).pixels.astype(int) - FILM).max() <= 1

    def test_compressed_samples_are_values_whatever_high_bit_says(self):
        def change(dataset: Dataset) -> None:
            stored(LEVELS, bits=12, high=15)(dataset)
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
            stream = encode_jpeg_lossless(LEVELS.astype(np.uint16), precision=12)
            dataset.PixelData = encapsulate([stream])

        assert np.abs(film(change).pixels.astype(int) - FILM).max() <= 1

    def test_big_endian_without_preamble(self):
        data = edited_dicom(FILM, stored(LEVELS, bits=12, high=11), patient_name="Doe^Jane")
        found = read_film(big_endian(data))
        assert np.abs(found.pixels.astype(int) - FILM).max() <= 1
        assert found.header is not None
        assert found.header.patient_name == "Doe Jane"

    def test_bytes_of_big_endian_words_are_swapped(self):
        dataset = pydicom.dcmread(io.BytesIO(encode_dicom(FILM)))
        dataset["PixelData"].VR = "OW"
        assert np.array_equal(read_film(big_endian_of(dataset)).pixels, FILM)

    def test_padding_with_the_sign_of_the_other_representation(self):
        levels = LEVELS - 2048
        levels[:20] = -2000

        def change(dataset: Dataset) -> None:
            stored(levels, bits=16, high=15, signed=True)(dataset)
            dataset.add_new("PixelPaddingValue", "US", 63536)

        found = film(change).pixels
        assert not found[:20].any()
        assert np.corrcoef(found[20:].ravel(), FILM[20:].ravel())[0, 1] > 0.999
        assert np.ptp(found[20:]) == 255


def big_endian_of(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    plain = Dataset()
    plain.update(dataset)
    plain.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    plain["PixelData"].VR = "OW"
    plain.file_meta = dataset.file_meta
    plain.file_meta.TransferSyntaxUID = BIG_ENDIAN
    plain.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lut(count: int, first: int, bits: int, data: bytes) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [count, first, bits])
    item.add_new("LUTData", "OW", data)
    return Sequence([item])


CURVE = np.rint(4095 * (np.arange(4096) / 4095) ** 1.7)
SEEN = np.rint(CURVE[LEVELS] * 255 / 4095)


class TestTables:
    @pytest.mark.parametrize(
        ("bits", "data"),
        [
            (12, CURVE.astype("<u2").tobytes()),
            (16, CURVE.astype("<u2").tobytes()),  # states 16 bits, holds 12
            (16, (CURVE * 16).astype("<u2").tobytes()),
            (16, np.floor(CURVE / 4).astype("<u2").tobytes()),
            (8, np.rint(CURVE / 16.06).astype(np.uint8).tobytes()),
            (8, np.rint(CURVE / 16.06).astype("<u2").tobytes()),  # an entry in each word
        ],
    )
    def test_voi_lut(self, bits, data):
        change = stored(LEVELS, bits=12, high=11, VOILUTSequence=lut(4096, 0, bits, data))
        assert np.abs(film(change).pixels.astype(int) - SEEN).max() <= 2

    def test_table_that_starts_below_zero(self):
        table = lut(4096, 65536 - 2048, 12, CURVE.astype("<u2").tobytes())
        change = stored(LEVELS - 2048, bits=16, high=15, signed=True, VOILUTSequence=table)
        assert np.abs(film(change).pixels.astype(int) - SEEN).max() <= 1

    def test_short_table_is_damage(self):
        table = lut(4096, 0, 12, bytes(1000))
        data = edited_dicom(FILM, stored(LEVELS, bits=12, high=11, VOILUTSequence=table))
        assert refused(data).code == "corrupt"


class TestWindows:
    def test_window_for_16_bits_over_12_is_set_aside(self):
        change = stored(LEVELS, bits=12, high=11, WindowCenter=32768, WindowWidth=65536)
        found = film(change)
        assert found.notices == ("window_set_aside",)
        assert np.abs(found.pixels.astype(int) - FILM).max() <= 1

    def test_second_window_replaces_one_that_shows_nothing(self):
        change = stored(
            LEVELS, bits=12, high=11, WindowCenter=[90000, 2048], WindowWidth=[100, 4096]
        )
        found = film(change)
        assert found.notices == ()
        assert np.abs(found.pixels.astype(int) - FILM).max() <= 1

    @pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
    def test_width_below_one(self, function):
        change = stored(
            LEVELS, bits=12, high=11, RescaleSlope=str(1 / 4095), RescaleIntercept="0",
            WindowCenter="0.39", WindowWidth="0.34", VOILUTFunction=function,
        )  # fmt: skip
        scaled = (LEVELS / 4095 - 0.39) / 0.34
        exact = np.clip(scaled + 0.5, 0, 1)
        shown = exact if function == "LINEAR_EXACT" else 1 / (1 + np.exp(-4 * scaled))
        assert np.abs(film(change).pixels - np.rint(255 * shown)).max() <= 1

    def test_width_below_one_is_invalid_for_linear(self):
        change = stored(LEVELS, bits=12, high=11, WindowCenter="0.39", WindowWidth="0.34")
        assert film(change).notices == ("window_set_aside",)

    def test_noise_is_not_stretched_into_a_film(self):
        noise = np.random.default_rng(0).integers(2000, 2006, LEVELS.shape)
        change = stored(noise, bits=12, high=11, WindowCenter=2048, WindowWidth=4096)
        assert refused(edited_dicom(FILM, change)).code == "blank"


class TestColours:
    @pytest.mark.parametrize(
        ("photometric", "luma"),
        [("YBR_FULL_422", FILM), ("YBR_PARTIAL_422", np.rint(FILM.astype(float) * 219 / 255 + 16))],
    )
    def test_native_422_takes_two_bytes_a_pixel(self, photometric, luma):
        def change(dataset: Dataset) -> None:
            pairs = np.full((*FILM.shape[:1], FILM.shape[1] // 2, 4), 128, np.uint8)
            pairs[..., :2] = luma.reshape(*pairs.shape[:2], 2)
            dataset.PhotometricInterpretation = photometric
            dataset.PixelData = pairs.tobytes()

        found = film(change, photometric="YBR_FULL")
        assert np.abs(found.pixels.astype(int) - FILM).max() <= 1
        assert found.photometric == photometric


class TestStreams:
    @pytest.mark.parametrize("syntax", ["jpeg", "jpegls", "jpeg2000", "jpeg_lossless", "rle"])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.8, 0.95])
    @pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
    def test_cut_streams_are_refused_at_once(self, syntax, share, end):
        def cut(dataset: Dataset) -> None:
            (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
            frame = frame.rstrip(b"\0")
            dataset.PixelData = encapsulate([frame[: int(share * len(frame))] + end])

        data = edited_dicom(FILM, cut, transfer_syntax=syntax)
        started = time.process_time()
        assert refused(data).code in ("truncated", "corrupt")
        assert time.process_time() - started < 0.1

    @pytest.mark.parametrize("syntax", ["jpeg", "jpegls", "jpeg2000", "jpeg_lossless", "rle"])
    @pytest.mark.parametrize(("start", "stop"), [(0.5, 1.0), (0.7, 1.0), (0.4, 0.6)])
    def test_zeroed_parts_are_damage(self, syntax, start, stop):
        def blot(dataset: Dataset) -> None:
            (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
            body = bytearray(frame.rstrip(b"\0"))
            first, last = int(start * len(body)), int(stop * (len(body) - 2))
            body[first:last] = bytes(last - first)
            dataset.PixelData = encapsulate([bytes(body)])

        data = edited_dicom(FILM, blot, transfer_syntax=syntax)
        assert refused(data).code in ("truncated", "corrupt")
