"""Patient, dates and view from DICOM headers, as devices write them or get them wrong."""

from __future__ import annotations

import datetime
import struct

import numpy as np
import pytest
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from mlcore.engine.data.population import PUBLIC_PAEDIATRIC, header_reasons
from mlcore.engine.films.film import read_film
from mlcore.engine.films.header import DicomHeader, completed_years
from tests.films import edited_dicom, encode_dicom, synthetic_film
from tests.mlcore.film_checks import refused

FILM = np.ascontiguousarray(synthetic_film("NORMAL", seed=3, size=128)[:96])

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def header(**options) -> DicomHeader:
    found = read_film(encode_dicom(FILM, **options)).header
    assert found is not None
    return found


def named(name: bytes, charset: str | list[str] | None) -> DicomHeader:
    """Return the header of a file whose name has these bytes, whatever its character set says."""
    data = encode_dicom(FILM, patient_name="ABCD^EFGH", character_set=charset)
    padded = name + b" " * (len(name) % 2)
    at = data.index(b"ABCD^EFGH")
    data = data[: at - 2] + struct.pack("<H", len(padded)) + padded + data[at + 10 :]
    found = read_film(data).header
    assert found is not None
    return found


class TestNames:
    @pytest.mark.parametrize(
        ("charset", "written", "expected"),
        [
            (["", "ISO 2022 IR 149"], "Pak^Haeun=박^하은=", "박 하은"),
            (["ISO 2022 IR 6", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "洪吉洞"),
            (["", "ISO 2022 IR 58"], "Wang^XiaoDong=王^小东=", "王小东"),
            (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎"),
            (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=", "山田太郎"),
        ],
    )
    def test_escape_sequences(self, charset, written, expected):
        raw = PersonName(written).encode(convert_encodings(charset))
        found = named(raw, charset)
        assert (found.patient_name, found.notices) == (expected, ())
        assert found.charset == "\\".join(charset)

    @pytest.mark.parametrize(
        ("label", "codec", "name"),
        [
            ("ISO_IR 149", "euc_kr", "박^하은"),
            ("ISO_IR 58", "gb2312", "王^小东"),
            ("ISO 2022 IR 192", "utf-8", "王^小東"),
            ("ISO-IR-192", "utf-8", "王^小東"),
            ("GBK", "gbk", "王^小東"),
            ("ISO_IR 144", "iso8859_5", "Иванов^Пётр"),
            ("ISO_IR 166", "iso8859_11", "สมชาย^เจน"),
            ("ISO_IR 101", "iso8859_2", "Čapek^Žižka"),
        ],
    )
    def test_labels_as_devices_write_them(self, label, codec, name):
        found = named(name.encode(codec), label).patient_name
        assert (found or "").replace(" ", "") == name.replace("^", "")

    @pytest.mark.parametrize("label", [None, "ISO_IR 6", "ISO_IR 100"])
    @pytest.mark.parametrize(
        ("name", "codec", "expected"),
        [
            ("王^小東", "utf-8", "王小東"),
            ("Müller^Jörg", "utf-8", "Müller Jörg"),
            ("Иванов^Пётр", "utf-8", "Иванов Пётр"),
            ("王^小明", "big5", "王小明"),
            ("林^怡君", "big5", "林怡君"),
            ("张^伟", "gbk", None),
            ("郑^强", "gbk", None),  # also valid UTF-8, of two odd letters
            ("박^하은", "euc_kr", None),
            ("陳^雅婷", "big5", None),  # a name in GBK too
            ("山田^太郎", "shift_jis", None),
        ],
    )
    def test_default_labels_over_other_encodings(self, label, name, codec, expected):
        found = named(name.encode(codec), label)
        assert found.patient_name == expected
        assert found.notices == (() if expected else ("name_undecodable",))

    @pytest.mark.parametrize("name", ["Müller^Jörg", "Öz^Ali", "Þórsson^Sæþór", "ÉMILE^ZOÉ"])
    def test_latin_1_stays_latin_1(self, name):
        found = named(name.encode("iso8859_1"), "ISO_IR 100").patient_name
        assert found == name.replace("^", " ")

    def test_one_undecodable_component_voids_the_name(self):
        found = named(b"Wang^XiaoDong=\xd5\xc5^\xce", "ISO_IR 192")
        assert found.patient_name is None
        assert found.notices == ("name_undecodable",)

    def test_unknown_escape_sequence_voids_the_name(self):
        assert named(b"\x1b$)Zab^cd", ["", "ISO 2022 IR 149"]).patient_name is None


class TestDates:
    @pytest.mark.parametrize(
        ("birth", "on", "years"),
        [
            ((2020, 3, 1), (2021, 3, 1), 1),
            ((2020, 3, 1), (2021, 2, 28), 0),
            ((2018, 6, 5), (2024, 6, 4), 5),
            ((2018, 6, 5), (2024, 6, 5), 6),
            ((2020, 2, 29), (2021, 2, 28), 0),
            ((2020, 2, 29), (2021, 3, 1), 1),
            ((2020, 3, 1), (2020, 2, 29), None),
        ],
    )
    def test_age_by_the_calendar(self, birth, on, years):
        assert completed_years(datetime.date(*birth), datetime.date(*on)) == years

    def test_first_birthday_is_one(self):
        found = header(age=None, birth_date="20200301", study_date="20210301")
        assert (found.age_years, found.birth_date) == (1, datetime.date(2020, 3, 1))

    def test_sixth_birthday_is_out_of_scope(self):
        day_before = header(age=None, birth_date="20180605", study_date="20240604")
        birthday = header(age=None, birth_date="20180605", study_date="20240605")
        assert header_reasons(PUBLIC_PAEDIATRIC, day_before) == ()
        assert header_reasons(PUBLIC_PAEDIATRIC, birthday) == ("age",)

    def test_study_date_in_the_future_is_left_empty(self):
        found = header(study_date="20991231")
        assert (found.study_date, found.notices) == (None, ("exam_date_in_future",))
        assert header(study_date=f"{datetime.date.today():%Y%m%d}").study_date

    def test_acquisition_date_gives_date_and_age(self):
        found = header(age=None, birth_date="20220102", study_date=None, AcquisitionDate="20250102")
        assert (found.study_date, found.age_years) == (datetime.date(2025, 1, 2), 3)
        moment = header(study_date=None, AcquisitionDateTime="20250102131500.5+0800")
        assert moment.study_date == datetime.date(2025, 1, 2)

    def test_birth_after_the_exam_is_left_empty(self):
        found = header(age="003Y", birth_date="20250301", study_date="20240301")
        assert (found.birth_date, found.age_years) == (None, 3.0)
        assert found.notices == ("birth_date_implausible",)

    def test_contradicting_ages_put_the_film_out_of_scope(self):
        found = header(age="003Y", birth_date="19600301", study_date="20240301")
        assert found.age_years is None
        assert found.notices == ("age_contradicts_birth_date",)
        assert header_reasons(PUBLIC_PAEDIATRIC, found) == ("age",)

    def test_sex(self):
        assert header(PatientSex="f").sex == "F"
        assert header(PatientSex="X").sex is None


def coded(value: str, meaning: str, scheme: str = "SCT") -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


class TestViews:
    @pytest.mark.parametrize(
        ("written", "view"),
        [
            ("PA ERECT", "PA"),
            ("AP SUPINE", "AP"),
            ("CHEST PA", "PA"),
            ("PAERECT", "PA"),
            ("p.a.", "PA"),
            ("LAT", "LATERAL"),
            ("LEFT LATERAL", "LL"),
            ("AP LORDOTIC", "LORDOTIC"),
            ("RLD", "DECUBITUS"),
            ("STRANGE", "STRANGE"),
        ],
    )
    def test_view_position(self, written, view):
        found = header(view_position=written)
        assert found.view_position == view
        outside = header_reasons(PUBLIC_PAEDIATRIC, found)
        assert outside == (() if view in ("PA", "AP") else ("view",))

    @pytest.mark.parametrize(
        ("value", "meaning", "scheme", "view"),
        [
            ("399173006", "left lateral", "SCT", "LL"),
            ("R-10232", "right lateral", "SRT", "RL"),
            ("399067008", "lateral", "SCT", "LATERAL"),
            ("272479007", "postero-anterior", "SCT", "PA"),
            ("X1", "Lateral chest", "99VENDOR", "LATERAL"),
            ("399135007", "left anterior oblique", "SCT", "OBLIQUE"),
            ("399061009", "axial", "SCT", "AXIAL"),
            ("399033003", "frontal", "SCT", None),
        ],
    )
    def test_view_code_sequence(self, value, meaning, scheme, view):
        found = header(view_position=None, ViewCodeSequence=coded(value, meaning, scheme))
        assert found.view_position == view

    @pytest.mark.parametrize(
        ("elements", "view"),
        [
            ({"AcquisitionDeviceProcessingDescription": "CHEST,LATERAL"}, "LATERAL"),
            ({"SeriesDescription": "Thorax lat."}, "LATERAL"),
            ({"SeriesDescription": "CHEST PA & LAT"}, None),
            ({"ProtocolName": "W033 Chest PA"}, "PA"),
            ({"PatientOrientation": ["A", "F"]}, "LATERAL"),
            ({"PatientOrientation": ["L", "F"]}, None),
        ],
    )
    def test_views_in_other_elements(self, elements, view):
        assert header(view_position=None, **elements).view_position == view

    def test_a_lateral_counts_against_a_frontal_default(self):
        lateral = coded("399173006", "left lateral")
        assert header(view_position="AP", ViewCodeSequence=lateral).view_position == "LL"
        device = header(AcquisitionDeviceProcessingDescription="CHEST,LATERAL")
        assert device.view_position == "LATERAL"
        # What a series is called does not count against the image's own view.
        assert header(SeriesDescription="Chest lateral").view_position == "PA"

    @pytest.mark.parametrize(
        ("written", "part"),
        [
            ("TORAX", "CHEST"),
            ("Tórax", "CHEST"),
            ("CHEST_PA", "CHEST"),
            ("CHEST ABDOMEN", "CHEST ABDOMEN"),
            ("T SPINE", "T SPINE"),
            ("HAND", "HAND"),
        ],
    )
    def test_body_parts(self, written, part):
        found = header(body_part=written)
        assert found.body_part == part
        outside = header_reasons(PUBLIC_PAEDIATRIC, found)
        assert outside == (() if part == "CHEST" else ("body_part",))

    def test_anatomic_region_sequence(self):
        hand, chest = coded("85562004", "Hand"), coded("51185008", "Thoracic structure")
        assert header(body_part=None, AnatomicRegionSequence=hand).body_part == "HAND"
        assert header(body_part="CHEST", AnatomicRegionSequence=hand).body_part == "HAND"
        assert header(body_part=None, AnatomicRegionSequence=chest).body_part == "CHEST"


class TestKinds:
    @pytest.mark.parametrize(
        ("sop_class", "kind"),
        [
            ("1.2.840.10008.5.1.4.1.1.104.1", "PDF document"),
            ("1.2.840.10008.5.1.4.1.1.88.11", "structured report"),
            ("1.2.840.10008.5.1.4.1.1.88.59", "list of key images"),
            ("1.2.840.10008.5.1.4.1.1.11.1", "presentation state"),
            ("1.2.840.10008.5.1.4.1.1.9.1.1", "waveform recording"),
            ("1.2.840.10008.5.1.4.1.1.481.5", "radiotherapy object"),
            ("1.2.840.10008.5.1.4.1.1.66.4", "segmentation or registration"),
            ("1.2.840.10008.1.3.10", "DICOMDIR directory"),
        ],
    )
    def test_other_objects_are_named(self, sop_class, kind):
        error = refused(encode_dicom(FILM, pixel_data=False, SOPClassUID=sop_class))
        assert (error.code, error.detail) == ("not_an_xray", {"kind": kind})

    def test_encapsulated_pdf_without_a_class(self):
        def encapsulate(dataset: Dataset) -> None:
            del dataset.SOPClassUID
            dataset.EncapsulatedDocument = b"%PDF-1.4 "
            dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"

        data = edited_dicom(FILM, encapsulate, pixel_data=False, modality="DOC")
        assert refused(data).detail == {"kind": "PDF document"}

    @pytest.mark.parametrize(
        ("sop_class", "modality"),
        [
            ("1.2.840.10008.5.1.4.1.1.2.1", "CT"),
            ("1.2.840.10008.5.1.4.1.1.1.2.1", "MG"),
            ("1.2.840.10008.5.1.4.1.1.77.1.4", "XC"),
        ],
    )
    def test_classes_of_other_modalities(self, sop_class, modality):
        error = refused(encode_dicom(FILM, SOPClassUID=sop_class))
        assert (error.code, error.detail) == ("wrong_modality", {"modality": modality})

    @pytest.mark.parametrize(
        "elements",
        [
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"},
            {"PresentationIntentType": "FOR PROCESSING"},
        ],
    )
    def test_for_processing_has_its_own_reason(self, elements):
        assert refused(encode_dicom(FILM, **elements)).code == "for_processing"
