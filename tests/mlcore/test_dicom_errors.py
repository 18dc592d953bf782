"""DICOM files that are refused."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from mlcore.engine.films.film import FilmError, read_film
from tests.films import SYNTAXES, bomb_png, edited_dicom, encode_dicom, synthetic_film
from tests.films.jpeg_lossless import encode_jpeg_lossless
from tests.mlcore.film_checks import check_outcome, refused

FILM = np.ascontiguousarray(synthetic_film("PNEUMONIA", seed=7, size=128)[:96])

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


class TestRefusals:
    @pytest.mark.parametrize("modality", ["CT", "MR", "US", "NM", "PT", "MG", "XA", "ES"])
    def test_other_modalities_are_refused(self, modality):
        error = refused(encode_dicom(FILM, modality=modality))
        assert (error.code, error.detail) == ("wrong_modality", {"modality": modality})

    @pytest.mark.parametrize("modality", ["CR", "DX", "DR", "RG", "RF", "SC", "OT", "dx ", None])
    def test_radiographs_and_captures_are_accepted(self, modality):
        film = read_film(encode_dicom(FILM, modality=modality))
        assert np.array_equal(film.pixels, FILM)

    def test_ct_slice_with_another_modality_is_refused(self):
        error = refused(encode_dicom(FILM, modality="OT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))
        assert error.detail == {"modality": "CT"}

    def test_several_frames_are_refused(self):
        assert refused(encode_dicom(FILM, frames=3)).code == "animated"

    def test_size_is_checked_before_decoding(self):
        assert refused(encode_dicom(FILM), max_pixels=FILM.size - 1).code == "too_many_pixels"
        huge = edited_dicom(FILM, lambda ds: ds.update({"Rows": 60_000, "Columns": 60_000}))
        assert refused(huge).code == "too_many_pixels"

    @pytest.mark.parametrize("syntax", ["jpeg", "jpeg2000", "jpegls", "jpeg_lossless"])
    def test_stream_of_another_size_than_the_header_is_not_decoded(self, syntax):
        wider = edited_dicom(FILM, lambda ds: ds.update({"Columns": 100}), transfer_syntax=syntax)
        assert refused(wider).code == "corrupt"

    def test_deflate_bomb_is_refused(self):
        small = encode_dicom(FILM, transfer_syntax="deflated")
        meta = 132 + 12 + struct.unpack("<I", small[140:144])[0]
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        bomb = b"".join(squeeze.compress(bytes(2**20)) for _ in range(300)) + squeeze.flush()
        assert len(bomb) < 2**20
        assert refused(small[:meta] + bomb).code == "too_large"

    def test_rle_bomb_is_decoded_up_to_the_image_size(self):
        bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\xff" * 2**20  # 128 MB

        def swell(dataset: Dataset) -> None:
            dataset.PixelData = encapsulate([bomb])

        started = time.process_time()
        # Decoding stops where the image is full; the rest of the segment is too much.
        assert refused(edited_dicom(FILM, swell, transfer_syntax="rle")).code == "corrupt"
        assert time.process_time() - started < 2

    @pytest.mark.parametrize("syntax", ["jpeg", "jpeg2000", "jpegls"])
    def test_png_bomb_in_place_of_a_jpeg_stream_is_refused(self, syntax):
        def swap(dataset: Dataset) -> None:
            dataset.PixelData = encapsulate([bomb_png()])

        assert refused(edited_dicom(FILM, swap, transfer_syntax=syntax)).code == "corrupt"

    @pytest.mark.parametrize(
        ("stream", "code"),
        [
            (b"\1\0", "truncated"),  # incomplete header
            (struct.pack("<16I", 1, 64, *[0] * 14), "truncated"),  # no segment
            (struct.pack("<16I", 1, 9999, *[0] * 14) + bytes(9), "truncated"),
            (struct.pack("<16I", 1, 0, *[0] * 14) + bytes(99), "corrupt"),  # header as segment
            (struct.pack("<16I", 2, 64, 65, *[0] * 13) + bytes(99), "corrupt"),  # one too many
            (struct.pack("<16I", 1, 64, *[0] * 14) + b"\x80" * 9999, "truncated"),  # no-ops
        ],
    )
    def test_damaged_rle_is_refused(self, stream, code):
        def damage(dataset: Dataset) -> None:
            dataset.PixelData = encapsulate([stream])

        assert refused(edited_dicom(FILM, damage, transfer_syntax="rle")).code == code

    @pytest.mark.parametrize("starts", [(64, 64), (70, 64)])
    def test_rle_segments_that_overlap(self, starts):
        def overlap(dataset: Dataset) -> None:
            header = struct.pack("<16I", 2, *starts, *[0] * 13)
            dataset.PixelData = encapsulate([header + b"\x81\x01" * 9999])

        error = refused(edited_dicom(FILM, overlap, bits=12, transfer_syntax="rle"))
        assert error.code == "corrupt"

    def test_one_bit_rle(self):
        def shrink(dataset: Dataset) -> None:
            dataset.BitsAllocated = dataset.BitsStored = 1
            dataset.HighBit = 0
            dataset.PixelData = encapsulate([bytes(200)])

        assert refused(edited_dicom(FILM, shrink, transfer_syntax="rle")).code == "corrupt"

    @pytest.mark.parametrize("syntax", ["jpeg", "jpegls", "jpeg_lossless"])
    def test_a_stream_of_millions_of_fill_bytes(self, syntax):
        def fill(dataset: Dataset) -> None:
            dataset.PixelData = encapsulate([b"\xff\xd8" + b"\xff" * 8_000_000])

        started = time.process_time()
        assert refused(edited_dicom(FILM, fill, transfer_syntax=syntax)).code == "corrupt"
        assert time.process_time() - started < 0.5

    def test_lossless_jpeg_whose_size_hides_behind_another_frame_header(self):
        def hide(dataset: Dataset) -> None:
            stream = encode_jpeg_lossless(FILM[:, :100], precision=8)
            jpegls = b"\xff\xf7\0\x0b\x08" + struct.pack(">HH", *FILM.shape) + b"\1\1\x11\0"
            dataset.PixelData = encapsulate([stream[:2] + jpegls + stream[2:]])

        error = refused(edited_dicom(FILM, hide, transfer_syntax="jpeg_lossless"))
        assert error.code == "corrupt"

    def test_pixel_data_of_an_unknown_type_is_refused(self):
        data = encode_dicom(FILM, transfer_syntax="jpeg")
        at = data.rindex(b"\xe0\x7f\x10\0OB") + 4
        assert refused(data[:at] + b"OC" + data[at + 2 :]).code == "corrupt"

    def test_colour_in_lossless_jpeg_is_unsupported(self):
        def colour(dataset: Dataset) -> None:
            stream = bytearray(encode_jpeg_lossless(FILM, precision=8))
            stream[stream.index(b"\xff\xc3") + 9] = 3
            dataset.PixelData = encapsulate([bytes(stream)])
            dataset.SamplesPerPixel = 3

        error = refused(edited_dicom(FILM, colour, transfer_syntax="jpeg_lossless"))
        assert error.code == "unsupported"

    @pytest.mark.parametrize("nested", [False, True])
    def test_millions_of_elements_are_refused_quickly(self, nested):
        plain = encode_dicom(FILM)
        at = plain.index(b"\x08\0\x16\0UI", 132)
        start = plain.index(b"\x08\0\x05\0CS")
        element = struct.pack("<HH2sH", 0x0009, 0x1001, b"SH", 0)
        many = element * 500_000
        if nested:
            sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
            item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
            many = sequence + item + many
        started = time.process_time()
        assert refused(plain[:start] + many + plain[at:]).code == "corrupt"
        assert time.process_time() - started < 2

    def test_deeply_nested_sequences_are_refused(self):
        plain = encode_dicom(FILM)
        start = plain.index(b"\x08\0\x05\0CS")
        level = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        level += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        assert refused(plain[:start] + level * 100_000).code == "corrupt"

    def test_unsupported_syntax_is_named(self):
        def to_video(dataset: Dataset) -> None:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML

        error = refused(edited_dicom(FILM, to_video, transfer_syntax="jpeg"))
        assert error.code == "unsupported"
        assert "MPEG2" in str(error)

    def test_twelve_bit_lossy_jpeg_has_its_own_sentence(self):
        def deepen(dataset: Dataset) -> None:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGExtended12Bit
            dataset.BitsStored = 12

        assert refused(edited_dicom(FILM, deepen, transfer_syntax="jpeg")).code == "jpeg_12_bit"

    def test_float_pixels_are_unsupported(self):
        def to_float(dataset: Dataset) -> None:
            del dataset.PixelData
            dataset.FloatPixelData = FILM.astype("<f4").tobytes()

        assert refused(edited_dicom(FILM, to_float)).code == "unsupported"

    @pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated"])
    def test_header_without_the_image_size_is_refused(self, keyword):
        assert refused(edited_dicom(FILM, lambda ds: delattr(ds, keyword))).code == "corrupt"

    @pytest.mark.parametrize("syntax", sorted(SYNTAXES))
    def test_truncated_pixel_data_is_refused(self, syntax):
        data = encode_dicom(FILM, transfer_syntax=syntax)
        assert refused(data[: len(data) * 2 // 3]).code == "truncated"


class TestRandomBytes:
    # No deadline: CharLS takes seconds to give up on some damaged JPEG-LS streams.
    quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    syntaxes = st.sampled_from(sorted(SYNTAXES))
    files = {name: encode_dicom(FILM, transfer_syntax=name) for name in SYNTAXES}

    @quick
    @given(syntaxes, st.floats(0, 1))
    def test_truncations(self, syntax, share):
        data = self.files[syntax]
        check_outcome(data[: int(share * len(data))])

    @quick
    @given(
        syntaxes, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=8)
    )
    def test_bit_flips(self, syntax, flips):
        data = bytearray(self.files[syntax])
        for share, bit in flips:
            data[132 + int(share**3 * (len(data) - 133))] ^= 1 << bit
        check_outcome(bytes(data))

    @quick
    @given(st.integers(0, 400), st.binary(max_size=300))
    def test_noise_after_a_valid_start(self, kept, noise):
        check_outcome(self.files["explicit"][: 132 + kept] + noise)


def test_pydicom_test_files_are_read_or_refused():
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    outcomes = {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            outcomes[path.name] = read_film(path.read_bytes()).format
        except FilmError as error:
            outcomes[path.name] = error.code
    assert len(outcomes) > 50
    assert outcomes["SC_rgb_rle.dcm"] == "DICOM"
    assert outcomes["CT_small.dcm"] == "wrong_modality"
    assert outcomes["examples_jpeg2k.dcm"] == "wrong_modality"
