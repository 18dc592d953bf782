"""ZIP and CSV files of batches, hostile and otherwise."""

import io
import struct
import zipfile
from typing import Any
from unittest import mock

import pytest
from django.utils import translation

from diagnosis.batches import receiving, running, tables, zip_files
from diagnosis.batches.names import clean_path, is_junk
from diagnosis.batches.tables import read_table
from diagnosis.batches.zip_files import ZipFileError, entries
from diagnosis.models import BatchItem, Reading
from tests.films import encode, synthetic_film


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def png(seed: int) -> bytes:
    return encode(synthetic_film("NORMAL", seed=seed, size=200), "png")


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def opened(data: bytes) -> dict[str, Any]:
    """Return content, or code of the error, of each entry."""
    return {
        entry.path: entry.data if entry.error is None else entry.error.code
        for entry in entries(io.BytesIO(data))
    }


# ZIP files ------------------------------------------------------------------------------------


def test_names_are_shown_and_never_used_as_paths():
    files = {
        "ward/1.png": b"1", "../../etc/passwd": b"2", "/root/2.png": b"3", "C:\\films\\3.png": b"4",
        "a\u202e/gpj.4": b"5", "__MACOSX/ward/._1.png": b"", "ward/.DS_Store": b"",
        "Thumbs.db": b"", "ward/": b"",
    }  # fmt: skip
    assert opened(zipped(files)) == {
        "ward/1.png": b"1", "etc/passwd": b"2", "root/2.png": b"3", "C:/films/3.png": b"4",
        "a/gpj.4": b"5",
    }  # fmt: skip


def test_csv_files_come_first():
    assert list(opened(zipped({"1.png": b"1", "who.csv": b"2"}))) == ["who.csv", "1.png"]


@pytest.mark.parametrize("encoding", ["cp950", "utf-8"])
def test_chinese_names_written_without_saying_how(encoding):
    """As Windows writes them: in the system's encoding, without the flag of UTF-8."""
    raw = zipped({"XXXXXX.png": b"1"})
    name = "病房".encode(encoding)
    name += b"X" * (6 - len(name))
    shown = name.decode(encoding)
    assert list(opened(raw.replace(b"XXXXXX", name))) == [f"{shown}.png"]


def test_entries_that_are_archives_or_encrypted_are_refused_alone():
    inner = zipped({"1.png": b"1"})
    data = bytearray(zipped({"a.zip": inner, "b.dcm": b"Rar!\x1a\x07\x00", "c.png": b"3"}))
    assert opened(bytes(data)) == {"a.zip": "zip_nested", "b.dcm": "zip_nested", "c.png": b"3"}
    # Set the flag of encryption in both headers of the last entry.
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.rindex(signature) + offset
        data[place : place + 2] = struct.pack("<H", 1)
    assert opened(bytes(data))["c.png"] == "zip_encrypted"


def test_a_bomb_is_not_expanded(settings):
    bomb = zipped({"bomb.png": bytes(64 * 2**20), "1.png": b"1"})
    assert len(bomb) < 2**17
    read = mock.Mock(wraps=zip_files._check_size)
    with mock.patch.object(zip_files, "_check_size", read):
        assert opened(bomb) == {"bomb.png": "zip_bomb", "1.png": b"1"}
    assert max(call.args[0] for call in read.call_args_list) < 16 * 2**20
    settings.FILM_MAX_BYTES = 1000
    assert opened(zipped({"a": bytes(range(256)) * 8}, zipfile.ZIP_STORED)) == {"a": "too_large"}


def test_an_entry_that_states_a_wrong_size_is_refused_alone():
    data = bytearray(zipped({"1.png": b"1" * 5000, "2.png": b"2"}))
    place = data.index(b"PK\x01\x02") + 24  # the size in the directory
    data[place : place + 4] = struct.pack("<I", 10)
    found = opened(bytes(data))
    assert found["1.png"] in ("zip_damaged", b"1" * 10)
    assert found["2.png"] == b"2"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"PK\x03\x04 and no more", "zip_damaged"),
        (zipped({"1.png": b"1" * 5000})[:-30], "zip_damaged"),
        (zipped({f"{number}.png": b"" for number in range(6)}), "zip_too_many"),
    ],
    ids=["start only", "cut off", "too many"],  # the data has the time in it
)
def test_zip_files_that_are_refused(data, code, settings):
    settings.BATCH_MAX_FILES = 5
    with pytest.raises(ZipFileError) as error:
        opened(data)
    assert error.value.code == code
    assert "%(" not in str(error.value)


def test_the_sum_of_sizes_is_limited():
    with (
        mock.patch.object(zip_files, "MAX_TOTAL_BYTES", 1500),
        pytest.raises(ZipFileError, match="more than"),
    ):
        opened(zipped({"1.png": b"1" * 1000, "2.png": b"2" * 1000}))


def test_a_zip_file_with_a_csv_file_is_read(lenient_model, doctor):
    batch = receiving.begin_batch(doctor=doctor)
    table = "檔名,姓名,年齡,檢查日期\n1.png,林小美,4,115/1/5\n".encode("cp950")
    data = zipped({"w/1.png": png(1), "w/2.png": png(2), "w/who.csv": table, "w/x.zip": zipped({})})
    received = receiving.add_file(
        doctor=doctor, batch_id=batch.pk, path="all.zip", file=io.BytesIO(data)
    )
    assert received.new == 2
    assert "Archives inside a ZIP file" in " ".join(received.problems)
    running.read_waiting("test")
    states = dict(BatchItem.objects.values_list("path", "state"))
    assert states == {"w/1.png": "DONE", "w/2.png": "NEEDS_DATA"}
    reading = Reading.objects.get()
    assert (reading.patient_name, str(reading.exam_date)) == ("林小美", "2026-01-05")
    again = receiving.add_file(
        doctor=doctor, batch_id=batch.pk, path="all.zip", file=io.BytesIO(data)
    )
    assert again.new == 0


# CSV files ------------------------------------------------------------------------------------

CHINESE = (
    "檔名;姓名;病歷號;年齡;出生日期;性別;檢查日期\n1.png;林小美;A1;5;民國110年1月5日;女;2026/1/9\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp950", "utf-16"])
def test_what_excel_in_taiwan_writes_is_understood(encoding):
    table = read_table(CHINESE.encode(encoding), "films/who.csv")
    assert table.problems == []
    assert table.rows == {
        "films/1.png": {
            "patient_name": "林小美", "patient_number": "A1", "patient_age_years": "5",
            "patient_birth_date": "2021-01-05", "patient_sex": "F", "exam_date": "2026-01-09",
        }
    }  # fmt: skip


def test_mistakes_are_reported_by_line_and_leave_out_that_line_only():
    lines = [
        "file,name,age,birth_date,sex,exam_date",
        "1.png,A,3,,M,2026-01-05",
        "2.png,B,three,,,",
        "3.png,C,3,2021-13-40,,",
        "4.png,D,,,X,",
        "",
        "5.png,E,3,2020-01-01,,2026-01-05",
        ",F,3,,,",
        "6.png,G,3,,,2026-01-05",
        "6.PNG,H,3,,,2026-01-05",
        "7.png,I,3,,,2099-01-05",
    ]
    with translation.override("en"):
        table = read_table("\n".join(lines).encode(), "who.csv")
    assert list(table.rows) == ["1.png"]
    numbers = [problem.split(":")[0] for problem in table.problems]
    assert numbers == [
        "Line 3 (2.png)", "Line 4 (3.png)", "Line 5 (4.png)", "Line 7 (5.png)", "Line 8",
        "Line 10 (6.PNG)", "Line 11 (7.png)",
    ]  # fmt: skip
    assert "whole number" in table.problems[0]
    assert "gives an age of 6" in table.problems[3]
    assert "neither is used" in table.problems[5]


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"a,b\n1,2\n", b'file\n"unclosed\n'])
def test_files_that_are_no_such_table(data):
    table = read_table(data, "who.csv")
    assert table.rows.get("who.csv") is None
    assert table.problems or data.startswith(b"file")


def test_the_file_to_fill_in_can_be_sent_back(lenient_model, doctor, as_doctor):
    batch = receiving.begin_batch(doctor=doctor)
    receiving.add_file(doctor=doctor, batch_id=batch.pk, path="w/1.png", file=io.BytesIO(png(1)))
    running.read_waiting("test")
    answer = as_doctor.get(f"/readings/batches/{batch.pk}/table/")
    text = b"".join(answer).decode("utf-8-sig")
    assert text.startswith("file,name,number,age,birth_date,sex,exam_date\r\nw/1.png,,,,,,")
    filled = text.replace("w/1.png,,,,", "w/1.png,林小美,A1,3,")
    receiving.add_file(
        doctor=doctor, batch_id=batch.pk, path="patients.csv", file=io.BytesIO(filled.encode())
    )
    running.read_waiting("test")
    assert Reading.objects.get().patient_name == "林小美"


def test_a_name_without_folders_is_used_only_where_it_is_clear(lenient_model, doctor):
    """Two folders may each have a file of that name."""
    batch = receiving.begin_batch(doctor=doctor)

    def send(path: str, data: bytes) -> None:
        receiving.add_file(doctor=doctor, batch_id=batch.pk, path=path, file=io.BytesIO(data))

    table = "file,name,age,exam_date\n1.png,甲,3,2026-01-05\n2.png,乙,3,2026-01-05\n"
    send("who.csv", table.encode())
    for number, path in enumerate(("a/1.png", "b/1.png", "a/2.png")):
        send(path, png(number))
    running.read_waiting("test")
    assert not Reading.objects.exists(), "more files might come"
    assert receiving.finish_sending(doctor=doctor, batch_id=batch.pk) == 1
    running.read_waiting("test")
    assert [reading.patient_name for reading in Reading.objects.all()] == ["乙"]


def test_what_the_doctor_typed_is_not_overwritten(lenient_model, doctor):
    batch = receiving.begin_batch(doctor=doctor)
    item = receiving.add_file(
        doctor=doctor, batch_id=batch.pk, path="1.png", file=io.BytesIO(png(1))
    ).items[0]
    running.read_waiting("test")
    BatchItem.objects.filter(pk=item.pk).update(entered={"patient_name": "typed"})
    table = b"file,name,age,exam_date\n1.png,other,3,2026-01-05\n"
    receiving.add_file(doctor=doctor, batch_id=batch.pk, path="a.csv", file=io.BytesIO(table))
    item.refresh_from_db()
    assert item.entered == {"patient_name": "typed"}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("a/b.png", "a/b.png"), ("../../x", "x"), ("", "?"), ("a\\b\0.png", "a/b.png"),
        ("/".join("abcdefghij"), "e/f/g/h/i/j"),
        (f"{'x' * 300}/{'y' * 300}.png", f"{'y' * 145}….png"),
    ],
)  # fmt: skip
def test_paths_for_display(path, shown):
    assert clean_path(path) == shown


def test_junk_is_recognised():
    assert [is_junk(name) for name in ("a/Thumbs.db", "._x.png", "DICOMDIR", "x.png", "")] == [
        True, True, True, False, True,
    ]  # fmt: skip
    assert tables.is_table("A.CSV")
