"""Reading DICOM: pixels, tone and header."""

from __future__ import annotations

import datetime
import struct

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from mlcore.engine.films.film import read_film
from mlcore.engine.films.header import DicomHeader
from tests.films import SYNTAXES, edited_dicom, encode_dicom, synthetic_film
from tests.films.jpeg_lossless import encode_jpeg_lossless

FILM = np.ascontiguousarray(synthetic_film("PNEUMONIA", seed=7, size=128)[:96])
LOSSLESS = sorted(set(SYNTAXES) - {"jpeg"})
# The film in 12-bit levels, as from a detector.
LEVELS = np.rint(FILM.astype(float) * 4095 / 255)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def shown(**options) -> np.ndarray:
    return read_film(encode_dicom(FILM, **options)).pixels


def header(**options) -> DicomHeader:
    found = read_film(encode_dicom(FILM, **options)).header
    assert found is not None
    return found


class TestPixels:
    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    @pytest.mark.parametrize("bits", [8, 12, 16])
    @pytest.mark.parametrize("syntax", LOSSLESS)
    def test_lossless_syntaxes_preserve_pixels(self, syntax, bits, photometric):
        film = read_film(
            encode_dicom(FILM, transfer_syntax=syntax, bits=bits, photometric=photometric)
        )
        assert np.array_equal(film.pixels, FILM)
        assert (film.format, film.source_bits) == ("DICOM", bits)

    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL"])
    def test_baseline_jpeg_is_close_to_the_film(self, photometric):
        pixels = shown(transfer_syntax="jpeg", photometric=photometric)
        assert np.abs(pixels.astype(int) - FILM).mean() < 2

    @pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
    @pytest.mark.parametrize("syntax", ["explicit", "rle"])
    def test_colour_becomes_luma(self, syntax, photometric):
        assert np.array_equal(shown(transfer_syntax=syntax, photometric=photometric), FILM)

    def test_palette_colour(self):
        def to_palette(dataset: Dataset) -> None:
            dataset.PhotometricInterpretation = "PALETTE COLOR"
            ramp = np.arange(255, -1, -1, dtype="<u2") * 257  # an index differs from its grey level
            for colour in ("Red", "Green", "Blue"):
                table = f"{colour}PaletteColorLookupTable"
                dataset.add_new(f"{table}Descriptor", "US", [256, 0, 16])
                dataset.add_new(f"{table}Data", "OW", ramp.tobytes())

        assert np.array_equal(read_film(edited_dicom(FILM, to_palette)).pixels, 255 - FILM)

    def test_file_without_preamble_is_recognised(self):
        for syntax in ("explicit", "implicit"):
            data = encode_dicom(FILM, preamble=False, transfer_syntax=syntax)
            assert np.array_equal(read_film(data).pixels, FILM)

    def test_preamble_that_looks_like_tiff_is_dicom(self):
        data = b"II*\0" + encode_dicom(FILM)[4:]
        assert read_film(data).format == "DICOM"

    @pytest.mark.parametrize("syntax", ["explicit", "rle", "jpeg_lossless"])
    def test_signed_levels(self, syntax):
        def sign(dataset: Dataset) -> None:
            levels = (LEVELS.astype(np.int32) - 2048) & 0xFFF  # two's complement in 12 bits
            dataset.PixelRepresentation = 1
            if syntax == "jpeg_lossless":
                dataset.PixelData = encapsulate([encode_jpeg_lossless(levels, precision=12)])
            else:
                signed = (levels.astype("<u2") << 4).view("<i2") >> 4
                dataset.PixelData = signed.tobytes()
                if syntax == "rle":
                    dataset.compress(pydicom.uid.RLELossless)

        start = "explicit" if syntax == "rle" else syntax
        film = read_film(edited_dicom(FILM, sign, bits=12, transfer_syntax=start))
        assert np.array_equal(film.pixels, FILM)


class TestTone:
    def test_window_is_applied(self):
        pixels = shown(bits=12, window=(1024, 1024))
        expected = np.clip((LEVELS - 1023.5) / 1023 + 0.5, 0, 1) * 255
        assert np.abs(pixels - expected).max() <= 1

    def test_first_of_several_windows_is_applied(self):
        several = edited_dicom(
            FILM,
            lambda ds: ds.update({"WindowCenter": [1024, 9], "WindowWidth": [1024, 9]}),
            bits=12,
        )
        assert np.array_equal(read_film(several).pixels, shown(bits=12, window=(1024, 1024)))

    def test_rescale_is_applied_before_the_window(self):
        pixels = shown(bits=12, rescale=(2.0, -1000.0), window=(1048, 2048))
        expected = np.clip((LEVELS * 2 - 1000 - 1047.5) / 2047 + 0.5, 0, 1) * 255
        assert np.abs(pixels - expected).max() <= 1

    def test_negative_slope_inverts_the_film(self):
        assert np.array_equal(shown(bits=12, rescale=(-1.0, 4095.0)), 255 - FILM)

    @pytest.mark.parametrize(
        ("function", "shade"),
        [
            ("LINEAR_EXACT", lambda x: np.clip((x - 2000) / 1500 + 0.5, 0, 1)),
            ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 2000) / 1500))),
        ],
    )
    def test_other_voi_functions(self, function, shade):
        pixels = shown(bits=12, window=(2000, 1500), VOILUTFunction=function)
        assert np.abs(pixels - shade(LEVELS) * 255).max() <= 1

    @pytest.mark.parametrize("window", [(2048, 0), (-90_000, 10), (90_000, 10)])
    def test_window_outside_the_data_is_ignored(self, window):
        assert np.array_equal(shown(bits=12, window=window), FILM)

    @pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
    def test_look_up_tables_are_applied(self, keyword):
        def add_table(dataset: Dataset) -> None:
            table = Dataset()
            table.LUTDescriptor = [256, 0, 16]
            table.LUTData = (np.arange(256) ** 2).astype("<u2").tobytes()
            table["LUTDescriptor"].VR = "US"
            table["LUTData"].VR = "OW"
            table.ModalityLUTType = "US"
            dataset[keyword] = pydicom.DataElement(keyword, "SQ", Sequence([table]))

        pixels = read_film(edited_dicom(FILM, add_table)).pixels
        curve = np.unique(np.stack([FILM.ravel(), pixels.ravel()], axis=1), axis=0)
        assert len(curve) == len(np.unique(FILM))  # one grey level per input level
        assert (np.diff(curve[:, 1].astype(int)) >= 0).all()
        assert pixels[FILM == 128].mean() < 90

    def test_inverse_presentation_of_monochrome1_inverts_once(self):
        pixels = shown(photometric="MONOCHROME1", PresentationLUTShape="INVERSE")
        assert np.array_equal(pixels, FILM)
        assert np.array_equal(shown(PresentationLUTShape="IDENTITY"), FILM)
        assert np.array_equal(shown(PresentationLUTShape="INVERSE"), 255 - FILM)

    def test_monochrome1_equals_its_monochrome2_counterpart(self):
        two = shown(bits=12, window=(2000, 3000))
        # The window is in stored values, where 0 is white in MONOCHROME1.
        one = shown(bits=12, photometric="MONOCHROME1", window=(4096 - 2000, 3000))
        assert np.abs(one.astype(int) - two).max() <= 1

    def test_narrow_range_is_stretched_to_the_grey_scale(self):
        narrow = read_film(edited_dicom(FILM, _narrow, bits=16)).pixels
        assert np.ptp(narrow) == 255
        assert np.corrcoef(FILM.ravel(), narrow.ravel())[0, 1] > 0.99

    def test_pixel_padding_is_black_and_ignored_in_scaling(self):
        def pad(dataset: Dataset) -> None:
            _narrow(dataset)
            levels = np.frombuffer(dataset.PixelData, "<u2").reshape(FILM.shape).copy()
            levels[:, :30] = 65535
            dataset.PixelData = levels.tobytes()
            dataset.add_new("PixelPaddingValue", "US", 65535)

        padded = read_film(edited_dicom(FILM, pad, bits=16)).pixels
        plain = read_film(edited_dicom(FILM, _narrow, bits=16)).pixels
        assert not padded[:, :30].any()
        assert np.abs(padded[:, 30:].astype(int) - plain[:, 30:]).max() < 25


def _narrow(dataset: Dataset) -> None:
    """Store the film in levels 8,000 to 16,000 of 65,536."""
    levels = np.rint(8000 + FILM.astype(float) * 8000 / 255)
    dataset.PixelData = levels.astype("<u2").tobytes()


STUDY = pydicom.uid.generate_uid(entropy_srcs=["xraysite study"])
INSTANCE = pydicom.uid.generate_uid(entropy_srcs=["xraysite tests"])
DX = pydicom.uid.DigitalXRayImageStorageForPresentation
UIDS = {
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "SOPInstanceUID": "sop_instance_uid",
    "SOPClassUID": "sop_class_uid",
}


class TestHeader:
    def test_complete_header(self):
        assert header(age="018M", body_part="chest") == DicomHeader(
            patient_name="Doe Jane",
            patient_id="A123",
            age_years=1.5,
            study_date=datetime.date(2026, 1, 2),
            modality="DX",
            view_position="PA",
            body_part="CHEST",
            study_instance_uid=STUDY,
            sop_instance_uid=INSTANCE,
            sop_class_uid=DX,
            charset="ISO_IR 192",
        )

    def test_empty_header(self):
        empty = header(
            modality=None,
            patient_name=None,
            patient_id=None,
            age=None,
            study_date=None,
            view_position=None,
            body_part=None,
        )
        assert empty == DicomHeader(
            charset="ISO_IR 192",
            study_instance_uid=STUDY,
            sop_instance_uid=INSTANCE,
            sop_class_uid=DX,
        )

    @pytest.mark.parametrize("keyword", list(UIDS))
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("1.2.840.10008.1", "1.2.840.10008.1"),
            ("A", None),
            ("1", None),
            ("1.2.", None),
            ("1.2.3a", None),
            ("1." + "2" * 62, "1." + "2" * 62),
            ("1." + "2" * 63, None),
        ],
    )
    def test_uids_are_checked(self, keyword, value, expected):
        assert getattr(header(**{keyword: value}), UIDS[keyword]) == expected

    @pytest.mark.parametrize(
        ("name", "character_set", "expected"),
        [
            ("Doe^Jane^^^", None, "Doe Jane"),
            ("  Doe ^ Jane Ann ", None, "Doe Jane Ann"),
            ("Wang^XiaoDong=王^小東", "ISO_IR 192", "王小東"),
            ("Wang^XiaoDong=王^小東", "GB18030", "王小東"),
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"], "山田太郎"),
            ("林^怡君", "ISO_IR 192", "林怡君"),
            ("Müller^Jörg", "ISO_IR 100", "Müller Jörg"),
            ("^^^^", None, None),
            ("", None, None),
        ],
    )
    def test_patient_names(self, name, character_set, expected):
        assert header(patient_name=name, character_set=character_set).patient_name == expected

    @pytest.mark.parametrize("encoding", ["utf-8", "big5"])
    def test_chinese_name_without_a_declared_character_set(self, encoding):
        data = encode_dicom(FILM, patient_name="ABCD^EFGH", character_set=None)
        name = "林^怡君".encode(encoding)
        padded = name + b" " * (len(name) % 2)
        at = data.index(b"ABCD^EFGH")
        length = struct.pack("<H", len(padded))
        data = data[: at - 2] + length + padded + data[at + 10 :]
        film = read_film(data)
        assert film.header is not None
        assert film.header.patient_name == "林怡君"

    def test_control_characters_and_excess_length_are_removed(self):
        assert header(patient_id="A\x001\t2\n3").patient_id == "A 1 2 3"
        assert len(header(patient_id="9" * 5000).patient_id or "") == 200

    @pytest.mark.parametrize(
        ("age", "years"),
        [
            ("004Y", 4.0),
            ("018M", 1.5),
            ("052W", 52 * 7 / 365.25),
            ("010D", 10 / 365.25),
            ("4Y", 4.0),
            ("62", 62.0),
            ("000Y", 0.0),
            ("", None),
            ("-01Y", None),
            ("004X", None),
            ("999Y", None),
            ("four", None),
        ],
    )
    def test_ages(self, age, years):
        assert header(age=age).age_years == (pytest.approx(years) if years is not None else None)

    @pytest.mark.parametrize(
        ("birth", "study", "years"),
        [
            ("20220102", "20260102", 4.0),
            ("20260102", "20220102", None),
            ("18000101", "20260102", None),
            ("20220102", None, None),
            ("20221399", "20260102", None),
        ],
    )
    def test_age_from_dates(self, birth, study, years):
        found = header(age=None, birth_date=birth, study_date=study).age_years
        assert found == (pytest.approx(years, abs=0.01) if years is not None else None)

    @pytest.mark.parametrize(
        ("written", "date"),
        [
            ("20260102", datetime.date(2026, 1, 2)),
            ("2026.01.02", datetime.date(2026, 1, 2)),
            ("20260230", None),
            ("19010101", None),
            ("today", None),
        ],
    )
    def test_study_dates(self, written, date):
        assert header(study_date=written).study_date == date

    def test_acquisition_date_replaces_a_missing_study_date(self):
        found = header(study_date=None, AcquisitionDate="20251231").study_date
        assert found == datetime.date(2025, 12, 31)
