"""The DICOM objects of a reading: what they state, and under which UIDs."""

import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from diagnosis.models import Label, Reading
from diagnosis.services.patients import PatientDetails
from diagnosis.services.readings import edit_reading
from exchange import uids
from exchange.outgoing.objects.header import person_name
from tests.exchange.outgoing import results
from tests.exchange.outgoing.results import objects_of, opened, sign, stored_reading

pytestmark = pytest.mark.django_db


def texts_in(dataset: Dataset) -> list[tuple[str, str, str]]:
    """Return name, value and code of each content item, wherever it is."""
    found = []
    for item in dataset.get("ContentSequence", []):
        name = (
            str(item.ConceptNameCodeSequence[0].CodeMeaning)
            if "ConceptNameCodeSequence" in item
            else ""
        )
        code = item.ConceptCodeSequence[0].CodeValue if item.ValueType == "CODE" else ""
        value = {
            "CODE": lambda i: str(i.ConceptCodeSequence[0].CodeMeaning),
            "TEXT": lambda i: str(i.TextValue),
            "PNAME": lambda i: str(i.PersonName),
            "NUM": lambda i: str(i.MeasuredValueSequence[0].NumericValue),
            "UIDREF": lambda i: str(i.UID),
        }.get(item.ValueType, lambda i: "")(item)
        found.append((name, value, str(code)))
        found += texts_in(item)
    return found


@pytest.fixture
def reading(active_model, doctor) -> Reading:
    made = stored_reading(doctor, results.dicom_film())
    sign(made)
    return made


def test_objects_belong_to_the_study_of_the_film(reading):
    made = objects_of(reading)
    assert set(made) == {"sr", "sc", "seg", "pdf"}, "the film itself is known to others"
    series = set()
    for each in map(opened, made.values()):
        assert each.StudyInstanceUID == results.STUDY
        assert (each.AccessionNumber, each.StudyID, each.StudyTime) == ("ACC1", "S1", "101112")
        assert str(each.ReferringPhysicianName) == "LIN^DR=林^醫師"
        assert each.PatientID == "A123"
        assert each.PatientAge == "003Y"
        assert each.TimezoneOffsetFromUTC == "+0800"
        series.add(each.SeriesInstanceUID)
    assert len(series) == 4
    assert results.SERIES not in series


def test_names_keep_all_three_component_groups_byte_for_byte(reading):
    for each in objects_of(reading).values():
        assert opened(each).SpecificCharacterSet == "ISO_IR 192"
        assert results.NAME.encode() in each.data


@pytest.mark.parametrize(
    ("confirmed", "in_file", "written"),
    [
        ("陳小明", "CHEN^XIAO MING=陳^小明", "CHEN^XIAO MING=陳^小明"),
        ("Chen Xiao Ming", "CHEN^XIAO MING=陳^小明", "CHEN^XIAO MING=陳^小明"),
        ("林美玲", "CHEN^XIAO MING=陳^小明", "林美玲=林美玲"),
        ("陳小明", "", "陳小明=陳小明"),
        ("Doe, Jane", "", "Doe, Jane"),
        ("a=b^c\\d", "", "a b c d"),
    ],
)
def test_the_name_is_the_confirmed_one(confirmed, in_file, written):
    assert person_name(confirmed, in_file) == written


def test_a_name_in_another_character_set_is_kept_in_utf8(active_model, doctor):
    film = results.dicom_film(
        patient_name="Wang^XiaoDong=王^小东",
        character_set=["", "ISO 2022 IR 58"],
        ReferringPhysicianName="",
    )
    made = objects_of(stored_reading(doctor, film, patient_name="王小东"))
    for each in made.values():
        assert "Wang^XiaoDong=王^小东".encode() in each.data


def test_the_structured_report_states_result_and_opinion(reading):
    report = opened(objects_of(reading)["sr"])
    found = texts_in(report)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert ("Finding", "Pneumonia", "233604007") in found
    assert ("Probability", "0.97", "") in found
    assert ("Horizontal Pixel Spacing", "0.2", "") in found, "the image is described"
    assert ("Presence of property", "Present", "121053") in found
    assert ("Result of the AI model", "Signs of pneumonia found", "PNEUMONIA") in found
    assert ("Algorithm Version", f"sha256:{reading.bundle_sha256}", "") in found
    assert ("Person Observer Name", "王怡君=王怡君", "") in found
    assert ("Impression", "Pneumonia", "233604007") in found
    assert ("Finding", "Lung consolidation", "95436008") in found
    assert ("Finding Site", "Upper lobe of lung", "45653009") in found
    assert ("Comment", "鼻胃管", "") in found
    assert ("Comment", results.NOTE, "") in found
    assert any("not a diagnosis" in value for _, value, _ in found)
    assert report.VerificationFlag == "UNVERIFIED", "the doctor has not signed the model's result"
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == results.IMAGE
    schemes = [each.CodingSchemeDesignator for each in report.CodingSchemeIdentificationSequence]
    assert schemes == ["99XRAYSITE"]


def test_a_normal_result_is_not_coded_as_a_normal_film(active_model, doctor):
    fields = {"label": Label.NORMAL, "probabilities": {"NORMAL": 0.9, "PNEUMONIA": 0.1}}
    found = texts_in(
        opened(objects_of(stored_reading(doctor, results.dicom_film(), **fields))["sr"])
    )
    assert ("Presence of property", "Absent", "121054") in found
    assert not [value for _, value, _ in found if value == "Imaging result normal"]


def test_a_refused_film_has_neither_probability_nor_map(active_model, doctor):
    fields = {"label": Label.OUT_OF_SCOPE, "scope_reasons": ["age"]}
    made = objects_of(stored_reading(doctor, results.dicom_film(), **fields))
    assert set(made) == {"sr", "pdf"}
    names = {name for name, _, _ in texts_in(opened(made["sr"]))}
    assert not names & {"Probability", "Probability below which the result is normal"}


def test_the_map_covers_the_source_image(reading):
    made = opened(objects_of(reading)["seg"])
    assert (made.Rows, made.Columns) == (256, 256)
    assert made.SegmentationType == "FRACTIONAL"
    values = made.pixel_array
    top, bottom = values[80:150, 40:120].mean(), values[200:].mean()
    assert top > 180
    assert bottom < 1
    source = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert source.ReferencedSOPInstanceUID == results.IMAGE
    assert "not a probability" in made.SegmentSequence[0].SegmentDescription


def test_the_picture_and_the_report_are_complete(reading):
    made = objects_of(reading)
    picture = opened(made["sc"])
    assert picture.PhotometricInterpretation == "RGB"
    assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == results.IMAGE
    pixels = picture.pixel_array
    assert np.ptp(pixels[:, -500:].astype(int)) > 200, "the legend is drawn"
    document = opened(made["pdf"])
    pdf = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-")
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document.BurnedInAnnotation == "YES"


def test_a_picture_file_becomes_a_secondary_capture_of_its_own(active_model, doctor):
    reading = stored_reading(doctor, results.png_film())
    made = objects_of(reading)
    assert set(made) == {"film", "sr", "sc", "seg", "pdf"}
    film = opened(made["film"])
    assert film.SOPInstanceUID == uids.instance_uid(reading)
    assert film.SeriesInstanceUID == uids.series_uid(reading)
    assert "generated" in film.ImageComments
    assert film.pixel_array.shape == (256, 256)
    source = opened(made["seg"]).ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert source.ReferencedSOPInstanceUID == film.SOPInstanceUID
    for each in map(opened, made.values()):
        assert each.StudyInstanceUID == uids.study_uid(reading)
        assert each.StudyDate == "20260102"


def test_a_result_is_not_filed_under_the_study_of_a_disowned_header(active_model, doctor):
    film = results.dicom_film(patient_id="P-4711", patient_name="LEE^AMY=李^愛美")
    made = objects_of(stored_reading(doctor, film, header_disowned=True))
    assert "film" in made
    for each in made.values():
        data = opened(each)
        assert data.StudyInstanceUID != results.STUDY
        assert (data.PatientID, str(data.PatientName)) == ("A123", "陳小明=陳小明")
        assert data.AccessionNumber == ""
        for value in (results.STUDY, results.SERIES, results.IMAGE, "P-4711", "李", "ACC1"):
            assert value.encode() not in each.data, value


def test_the_same_version_gives_the_same_bytes(reading):
    assert objects_of(reading) == objects_of(reading)


def test_an_addendum_or_a_correction_gives_new_objects(reading, doctor):
    signed = objects_of(reading)
    details = PatientDetails("陳小明", 3, reading.exam_date, number="A123", sex="M")
    edit_reading(doctor=doctor, reading_id=reading.pk, patient=details)
    corrected = objects_of(reading)
    for kind, made in signed.items():
        assert corrected[kind].uid != made.uid
        assert opened(corrected[kind]).SeriesInstanceUID == opened(made).SeriesInstanceUID
    reread = Reading.objects.get(pk=reading.pk)
    reread.save()
    assert objects_of(reread) == corrected, "other columns change nothing"


def test_invalid_values_in_the_header_are_repeated_or_left_out(active_model, doctor):
    def damage(header):
        header.add_new("StudyTime", "LO", "nonsense")
        header.add_new("PatientOrientation", "LO", "L")
        header.add_new("StudyID", "LO", "x" * 40)

    stated = dcmread(io.BytesIO(results.dicom_film()))
    damage(stated)
    buffer = io.BytesIO()
    stated.save_as(buffer)
    made = objects_of(stored_reading(doctor, buffer.getvalue()))
    assert set(made) == {"sr", "sc", "seg", "pdf"}
