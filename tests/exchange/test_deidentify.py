"""De-identified exports: nothing that names anybody is left, and what is needed is kept."""

import csv
import datetime
import hashlib
import io
import json
import secrets
import stat
import uuid
from pathlib import Path

import numpy as np
import pydicom
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image, PngImagePlugin
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from accounts.models import AuditEntry
from diagnosis.models import ConfirmedDiagnosis, HidingReason, Reading
from diagnosis.retention import hide_reading
from diagnosis.services.opinions import Content, record_opinion
from diagnosis.services.readings import PatientDetails, submit_reading
from diagnosis.validators import validate_film_bytes
from exchange.deidentify import films, profile
from exchange.deidentify.keys import Key
from mlcore.engine.films.film import read_film
from tests.films import encode, encode_dicom, synthetic_film
from tests.films.dicom import edited_dicom

pytestmark = pytest.mark.django_db
# Each is planted somewhere, and must be nowhere in the export.
PLANTED = {
    "WangXiaoming", "王小明", "ワンシャオミン", "왕샤오밍", "K-778899", "A223456789", "20221231",
    "20260102", "Kaohsiung", "高雄市民", "ACC-445566", "StationSeven", "Dr^Lin", "林醫師",
    "private words", "overlay words", "comment words", "1.2.826.0.1.99", "operator-nine",
    "preamble words", "trailing words", "secret@example.org", "19991231", "NESTEDNAME",
}  # fmt: skip
KEY = secrets.token_bytes(32)


def planted(dataset: Dataset) -> None:
    """Write identifiers into every kind of element."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "WangXiaoming=王小明=ワンシャオミン"
    dataset.OtherPatientNames = "왕샤오밍"
    dataset.PatientID = "K-778899"
    dataset.OtherPatientIDs = ["A223456789", "K-778899"]
    dataset.PatientBirthDate = "20221231"
    dataset.PatientAddress = "高雄市民"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20260102"
    dataset.AcquisitionDateTime = "20260102101112.123456+0800"
    dataset.AccessionNumber = "ACC-445566"
    dataset.InstitutionName = "Kaohsiung"
    dataset.StationName = "StationSeven"
    dataset.ReferringPhysicianName = "Dr^Lin=林醫師"
    dataset.OperatorsName = "operator-nine"
    dataset.PatientComments = dataset.ImageComments = "comment words 王小明"
    dataset.StudyDescription = "Chest of 王小明"
    dataset.BodyPartExamined = "NESTEDNAME"
    dataset.StudyInstanceUID = "1.2.826.0.1.99.1"
    dataset.SeriesInstanceUID = "1.2.826.0.1.99.2"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.99.3"
    dataset.FrameOfReferenceUID = "1.2.826.0.1.99.4"
    dataset.add_new(tag_for_keyword("RetrieveURL"), "UR", "https://pacs/?secret@example.org")
    item, inner = Dataset(), Dataset()
    inner.PatientName, inner.ReferencedSOPInstanceUID = "NESTEDNAME", "1.2.826.0.1.99.5"
    item.ReferencedStudySequence = [inner]
    item.RequestedProcedureDescription = "for 王小明"
    dataset.RequestAttributesSequence = [item]
    block = dataset.private_block(0x0011, "ACME", create=True)
    block.add_new(1, "LO", "private words")
    block.add_new(2, "UN", "王小明".encode("big5"))
    dataset.add_new((0x6000, 0x4000), "LT", "overlay words")
    dataset.add_new((0x6000, 0x3000), "OW", b"overlay words " * 2)
    dataset.add_new((0x5000, 0x2500), "LO", "comment words")
    dataset.add_new((0x0009, 0x1001), "UN", "王小明".encode("gb18030"))
    dataset.DataSetTrailingPadding = b"trailing words"
    dataset.preamble = b"preamble words".ljust(128, b"\0")
    dataset.BurnedInAnnotation = "NO"


def a_film(kind: str = "NORMAL", *, seed: int = 1, number: str = "", day: str = "", **options):
    def change(dataset: Dataset) -> None:
        planted(dataset)
        dataset.PatientID = number or dataset.PatientID
        dataset.StudyDate = day or dataset.StudyDate

    return edited_dicom(synthetic_film(kind, seed=seed), change, **options)


def submitted(doctor, data: bytes, **patient) -> Reading:
    details = {
        "name": "王小明", "number": "K-778899", "age_years": 3, "sex": "F",
        "birth_date": datetime.date(2022, 12, 31), "exam_date": datetime.date(2026, 1, 2),
    }  # fmt: skip
    reading = submit_reading(
        doctor=doctor,
        upload=validate_film_bytes(data, "王小明 K-778899"),
        patient=PatientDetails(**details | patient),
        submission=uuid.uuid4(),
    )
    reading.refresh_from_db()
    return reading


def key_file(folder: Path) -> Path:
    path = folder / "export.key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


def exported(folder: Path, *arguments: str, name: str = "out") -> Path:
    """Run the command; return its folder."""
    out = folder / name
    call_command(
        "export_deidentified", "--out", str(out), "--key-file", str(key_file(folder)), *arguments
    )
    return out


def rows_of(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "manifest.csv").read_text())))


def content_of(out: Path) -> bytes:
    """Return the names and the bytes of all files of an export."""
    paths = [path for path in out.rglob("*") if path.is_file()]
    return b"\0".join(
        each for path in paths for each in (str(path.relative_to(out)).encode(), path.read_bytes())
    )


def assert_nothing_is_left(content: bytes) -> None:
    for text in PLANTED | {KEY.hex()}:
        for encoding in ("utf-8", "big5", "gb18030", "shift_jis", "euc_kr", "iso2022_jp"):
            try:
                form = text.encode(encoding)
            except UnicodeEncodeError:
                continue
            assert form not in content, (text, encoding)
    assert KEY not in content


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "jpeg_lossless", "jpeg2000", "rle"])
def test_no_identifier_is_left_in_headers_names_or_manifests(
    active_model, doctor, tmp_path, syntax
):
    doctor.display_name, doctor.hospital = "林醫師", "Kaohsiung"
    doctor.save()
    reading = submitted(doctor, a_film(transfer_syntax=syntax, bits=12))
    record_opinion(
        doctor=doctor, reading_id=reading.pk, stage="SIGNED",
        content=Content(verdict="NORMAL", note="comment words 王小明"),
    )  # fmt: skip
    out = exported(tmp_path, "--with-opinions")
    assert_nothing_is_left(content_of(out))
    assert str(reading.pk).encode() not in content_of(out)
    [row] = rows_of(out)
    film = out / row["file"]
    made = pydicom.dcmread(film)
    assert made.PatientName == made.PatientID == row["patient"]
    assert made.PatientIdentityRemoved == "YES"
    assert {item.CodeValue for item in made.DeidentificationMethodCodeSequence} >= {"113100"}
    assert (made.PatientAge, made.PatientSex, made.ViewPosition) == ("003Y", "F", "PA")
    assert "BodyPartExamined" not in made
    assert row["doctor_opinion"] == "NORMAL"
    assert row["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    assert made.BitsStored == 12


def test_pixels_are_those_of_the_original(active_model, doctor, tmp_path):
    data = a_film(bits=12, window=(2048, 4096), transfer_syntax="jpeg_lossless")
    submitted(doctor, data)
    out = exported(tmp_path)
    made = (out / rows_of(out)[0]["file"]).read_bytes()
    assert np.array_equal(read_film(made).pixels, read_film(data).pixels)


def test_a_stream_of_jpeg_keeps_no_comment(active_model, doctor, tmp_path):
    """JPEG files and frames can hold text outside the header."""

    def commented(stream: bytes) -> bytes:
        words = "comment words 王小明".encode()
        return stream[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words + stream[2:]

    def inside(dataset: Dataset) -> None:
        planted(dataset)
        frame = next(pydicom.encaps.generate_frames(dataset.PixelData))
        dataset.PixelData = pydicom.encaps.encapsulate([commented(frame)])

    pixels = synthetic_film("NORMAL", seed=1)
    submitted(doctor, edited_dicom(pixels, inside, transfer_syntax=str(JPEGBaseline8Bit)))
    submitted(doctor, commented(encode(synthetic_film("PNEUMONIA", seed=2), "jpeg")))
    out = exported(tmp_path, "--with-text-checked")
    assert len(rows_of(out)) == 2
    assert_nothing_is_left(content_of(out))


def test_pictures_lose_their_metadata(active_model, doctor, tmp_path):
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_itxt("Comment", "comment words 王小明")
    Image.fromarray(synthetic_film("NORMAL", seed=3)).save(buffer, "PNG", pnginfo=text)
    reading = submitted(doctor, buffer.getvalue())
    out = exported(tmp_path, "--with-text-checked")
    assert_nothing_is_left(content_of(out))
    with Image.open(out / rows_of(out)[0]["file"]) as image:
        assert image.info == {}
        assert image.size == (reading.film_width, reading.film_height)


def test_images_that_may_hold_text_wait_for_somebody_to_look(active_model, doctor, tmp_path):
    def silent(dataset: Dataset) -> None:
        planted(dataset)
        del dataset.BurnedInAnnotation

    unknown = submitted(doctor, edited_dicom(synthetic_film("NORMAL", seed=4), silent))
    picture = submitted(doctor, encode(synthetic_film("NORMAL", seed=5), "png"))
    assert rows_of(exported(tmp_path)) == []
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["left_out"] == {"the image may hold text: look at it": 2}
    table = tmp_path / "boxes.csv"
    table.write_text(
        f"reading,left,top,width,height\n{unknown.pk},0,0,0.5,0.25\n{picture.pk},,,,\n"
    )
    out = exported(tmp_path, "--boxes", str(table), name="looked")
    [row] = [each for each in rows_of(out) if each["file"].endswith(".dcm")]
    made = pydicom.dcmread(out / row["file"])
    height, width = made.pixel_array.shape
    corner = made.pixel_array[: height // 4, : width // 2]
    assert (corner == made.pixel_array.min()).all()
    assert made.BurnedInAnnotation == "NO"
    assert len(rows_of(out)) == 2
    table.write_text("reading,left,top,width,height\nx,0,0,2,2\n")
    with pytest.raises(CommandError, match="line 2"):
        exported(tmp_path, "--boxes", str(table), name="bad")


def test_the_key_decides_pseudonyms_and_dates(active_model, doctor, tmp_path):
    first = submitted(doctor, a_film())
    later = a_film(seed=6, day="20260112")
    second = submitted(doctor, later, exam_date=datetime.date(2026, 1, 12))
    Reading.objects.filter(pk=second.pk).update(study=first.study)
    rows = rows_of(exported(tmp_path))
    assert len({row["patient"] for row in rows}) == 1
    days = sorted(datetime.date.fromisoformat(row["exam_date_shifted"]) for row in rows)
    assert days[1] - days[0] == datetime.timedelta(days=10)
    assert days[1] < datetime.date(2025, 2, 1)
    again = rows_of(exported(tmp_path, name="again"))
    assert again == rows
    reading = Reading.objects.get(pk=first.pk)
    other = films.patient_of(reading, Key(b"another key" * 3))
    assert other.pseudonym != rows[0]["patient"]
    uids = {pydicom.dcmread(tmp_path / "out" / row["file"]).SOPInstanceUID for row in rows}
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)


def test_the_report_counts_what_was_removed_and_names_no_value(active_model, doctor, tmp_path):
    submitted(doctor, a_film())
    report = json.loads((exported(tmp_path) / "report.json").read_text())
    removed = report["removed_elements"]
    assert removed["PatientAddress"] == removed["StudyDescription"] == 1
    assert removed["PatientName"] == 2
    assert removed["private elements of group 0011"] == 3
    assert report["profile"]["edition"] == "DICOM PS3.15 2026c"
    assert (report["films"], report["patients"]) == (1, 1)


def test_each_reading_is_on_record_and_deleted_ones_stay(active_model, doctor, tmp_path):
    reading = submitted(doctor, a_film())
    gone = submitted(doctor, edited_dicom(synthetic_film("NORMAL", seed=7), planted))
    hide_reading(doctor=doctor, reading_id=gone.pk, reason=HidingReason.MISTAKE)
    assert len(rows_of(exported(tmp_path))) == 1
    assert [entry.object_pk for entry in AuditEntry.objects.filter(what="deidentified")] == [
        str(reading.pk)
    ]


def test_a_withheld_result_is_not_exported(active_model, doctor, tmp_path):
    reading = submitted(doctor, a_film())
    Reading.objects.filter(pk=reading.pk).update(withheld=True, blind_first=True)
    [row] = rows_of(exported(tmp_path))
    assert {row["model_result"], row["pneumonia_probability"], row["model"]} == {""}


def test_folders_of_the_diagnosis_are_a_data_set(active_model, doctor, tmp_path):
    for seed, (value, kind) in enumerate([("NORMAL", "NORMAL"), ("PNEUMONIA", "PNEUMONIA")]):
        film = a_film(kind, seed=20 + seed, number=f"N-{seed}")
        reading = submitted(doctor, film, number=f"N-{seed}")
        ConfirmedDiagnosis.objects.create(
            reading=reading, value=value, source="COURSE", confirmed_on=timezone.localdate(),
            recorded_by=doctor,
        )  # fmt: skip
    submitted(doctor, a_film(seed=22, number="N-9"), number="N-9")
    out = exported(tmp_path, "--classes")
    assert sorted(row["file"].partition("/")[0] for row in rows_of(out)) == ["NORMAL", "PNEUMONIA"]
    call_command("audit_dataset", "--data", str(out))


def test_keys_must_be_secret(tmp_path):
    path = key_file(tmp_path)
    path.chmod(0o644)
    arguments = ["export_deidentified", "--out", str(tmp_path / "out"), "--key-file", str(path)]
    with pytest.raises(CommandError, match="chmod 600"):
        call_command(*arguments)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    path.write_bytes(b"short")
    with pytest.raises(CommandError, match="32 bytes"):
        call_command(*arguments)
    inside = ["--out", str(tmp_path), "--key-file", str(path)]
    with pytest.raises(CommandError, match="folder of the export"):
        call_command("export_deidentified", *inside)


def test_a_number_in_the_wrong_place_stops_the_film(active_model, doctor, tmp_path):
    """Devices write patient numbers into any element, even one that is kept."""

    def misplaced(dataset: Dataset) -> None:
        planted(dataset)
        dataset.PatientID, dataset.ExposureTime = "77889911", 77889911

    submitted(doctor, edited_dicom(synthetic_film("NORMAL", seed=8), misplaced), number="77889911")
    out = exported(tmp_path)
    assert rows_of(out) == []
    report = json.loads((out / "report.json").read_text())
    assert report["left_out"] == {"an identifier would have been left": 1}


def test_nothing_is_kept_that_the_profile_removes():
    """The list of what is kept, against the standard's own table in its edition of 2026c."""
    selector = pytest.importorskip("dicomanonymizer.dicomfields_selector")
    table = selector.dicom_anonymization_database_selector("dicomfields_2026c")
    listed = {
        tag: name for name, tags in table.items() if name != "ALL_TAGS" for tag in map(tuple, tags)
    }
    assert len(listed) > 600

    def action(keyword: str) -> str:
        number = tag_for_keyword(keyword)
        return listed.get((number >> 16, number & 0xFFFF), "")

    assert {keyword for keyword in profile.KEPT if action(keyword)} == set()
    # By the options that the export claims: characteristics of patients, and modified dates.
    options = {"PatientAge", "PatientSex", "StudyDate", "ContentDate", "AcquisitionDate"}
    emptied = {"Z_TAGS", "U_TAGS", "Z_D_TAGS", "X_Z_TAGS", "D_TAGS"}
    written = {keyword: action(keyword) for keyword in profile.WRITTEN if action(keyword)}
    assert {name for name, what in written.items() if what not in emptied} <= options


def test_this_site_reads_an_exported_film(active_model, doctor, tmp_path):
    data = encode_dicom(synthetic_film("NORMAL", seed=9), BurnedInAnnotation="NO")
    submitted(doctor, data, name="Doe Jane", number="A123", exam_date=datetime.date(2026, 1, 2))
    out = exported(tmp_path)
    film = read_film((out / rows_of(out)[0]["file"]).read_bytes())
    assert np.array_equal(film.pixels, read_film(data).pixels)
