"""Where the file's header and the form disagree, the doctor decides before anything is saved."""

import datetime
import uuid
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.core.management import call_command

from diagnosis.models import Label, Reading, Source
from diagnosis.services import pending
from diagnosis.services.conflicts import Choice, Decisions, UndecidedError
from diagnosis.services.patients import PatientDetails, differences, is_same_name
from diagnosis.services.replay import replay
from mlcore import inference
from tests.conftest import patient_details, post_film, signed_in, upload_of
from tests.diagnosis.checking import BECAUSE, PATIENT, checked, decided, dicom
from tests.diagnosis.test_services import submit

pytestmark = pytest.mark.django_db


def stored_films() -> list[Path]:
    root = Path(storages["films"].base_location)
    return [path for path in root.rglob("*") if path.is_file() and "pending" not in path.parts]


def pending_files() -> list[Path]:
    root = Path(storages["films"].base_location) / "pending"
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("field", "header", "file", "form"),
    [
        ("patient_name", {"patient_name": "Lin^Hao"}, "Lin Hao", "陳小明"),
        ("patient_number", {"patient_id": "B9"}, "B9", "A123"),
        ("patient_age_years", {"age": "004Y"}, "4", "3"),
        ("exam_date", {"study_date": "20260103"}, "2026-01-03", "2026-01-02"),
        ("patient_sex", {"PatientSex": "F"}, "F", "M"),
        ("patient_birth_date", {"birth_date": "20220405"}, "2022-04-05", "2022-05-05"),
    ],
)
@pytest.mark.parametrize("side", ["file", "form"])
def test_nothing_is_saved_until_the_doctor_has_chosen(
    side, field, header, file, form, active_model, as_doctor
):
    typed = {"patient_sex": "M", "patient_birth_date": "2022-05-05"}
    if field == "patient_age_years":  # the date of birth would contradict the file's age
        del typed["patient_birth_date"]
    location = checked(as_doctor, dicom(**header), **typed)
    assert not Reading.objects.exists()
    assert stored_films() == []
    page = as_doctor.get(location)
    rows = page.context["form"].rows
    assert [row["field"] for row in rows] == [field]
    for shown in (rows[0]["file"], rows[0]["form"]):
        assert shown in page.content.decode()

    refused = as_doctor.post(location, {f"choose_{field}": ""})
    assert refused.status_code == 200
    assert "Choose one." in refused.content.decode()
    refused = as_doctor.post(location, {f"choose_{field}": "form", f"reason_{field}": "  "})
    assert "Enter the reason." in refused.content.decode()
    assert not Reading.objects.exists()

    response = decided(
        as_doctor, location, **{field: side if side == "file" else f"form: {BECAUSE}"}
    )
    reading = Reading.objects.get()
    assert response.headers["Location"] == reading.get_absolute_url()
    value = getattr(reading, field)
    assert str(value) == (file if side == "file" else form)
    (entry,) = reading.discrepancies
    assert (entry["field"], entry["file"], entry["form"]) == (field, file, form)
    assert (entry["chosen"], entry["reason"]) == (side, "" if side == "file" else BECAUSE)
    assert pending_files() == []


def test_agreeing_files_are_saved_without_a_question(active_model, as_doctor):
    response = post_film(as_doctor, dicom(PatientSex="M", birth_date="20220405"), "film.dcm")
    reading = Reading.objects.get()
    assert response.headers["Location"] == reading.get_absolute_url()
    assert reading.discrepancies == []
    assert reading.patient_sex == "M"
    assert reading.patient_birth_date == datetime.date(2022, 4, 5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CHEN^WEI LUN", "Chen Wei Lun"),
        ("CHEN^WEI LUN", "Chen, Wei Lun"),
        ("CHEN^WEI-LUN", "chen weilun"),
        ("CHEN^WEI LUN", "Wei Lun Chen"),
        ("ＣＨＥＮ　ＷＥＩ", "Chen Wei"),
        ("陳^小明", "陳小明"),
        ("陳 小明", "陳小明"),
        ("O'Brien^Mary", "OBrien Mary"),
        ("?", "?"),
    ],
)
def test_one_name_in_different_writing_raises_no_alarm(one, other):
    assert is_same_name(one, other)
    assert is_same_name(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CHEN^WEI LUN", "Chen Wei Long"),
        ("陳小明", "陳小美"),
        ("明陳小", "陳小明"),
        ("Chen Wei", "Chen Wei Lun"),
        ("?", "!"),
    ],
)
def test_different_names_differ(one, other):
    assert not is_same_name(one, other)


def test_either_script_of_a_name_may_match(active_model, as_doctor):
    data = dicom(patient_name="Chen^Siao Ming=陳^小明")
    assert post_film(as_doctor, data, "film.dcm").headers["Location"].count("check") == 0
    other = dicom(patient_name="Chen^Siao Ming=陳^小明", seed=2)
    typed = post_film(as_doctor, other, "film.dcm", patient_name="CHEN, Siao-Ming")
    assert typed.headers["Location"].count("check") == 0
    third = dicom(patient_name="Chen^Siao Ming=陳^小明", seed=3)
    checked(as_doctor, third, patient_name="陳小美")


def test_values_left_empty_disagree_with_nothing():
    patient = PatientDetails(name="A", age_years=3, exam_date=PATIENT.exam_date)
    stated = {"patient_name": "A", "patient_number": "9", "patient_sex": "F"}
    assert differences(stated, patient) == []


@pytest.mark.parametrize("answer", ["file", "form: the file is my father's"])
def test_an_age_in_the_file_outside_the_population_gives_no_label(answer, lenient_model, as_doctor):
    """The case of the issue: the header says 62, the form 3, and the page said NORMAL."""
    location = checked(as_doctor, dicom(age="062Y"))
    page = as_doctor.get(location).content.decode()
    assert "No result: the file&#x27;s age still counts." in page or "age still counts" in page
    decided(as_doctor, location, patient_age_years=answer)
    reading = Reading.objects.get()
    assert reading.label == Label.OUT_OF_SCOPE
    assert reading.scope_reasons == ["age"]
    assert reading.patient_age_years == (62 if answer == "file" else 3)
    assert replay(reading) == []


def test_only_disowning_the_header_gives_a_label(lenient_model, as_doctor):
    location = checked(as_doctor, dicom(age="062Y"))
    decided(as_doctor, location, patient_age_years=f"disowned: {BECAUSE}")
    reading = Reading.objects.get()
    assert reading.label != Label.OUT_OF_SCOPE
    assert reading.header_disowned
    assert replay(reading) == []
    for part in ("", "report/"):
        page = as_doctor.get(reading.get_absolute_url() + part).content.decode()
        assert "wrong or belongs to somebody else" in page
        assert "62 years" in page
        assert "father&#x27;s number" in page


def test_an_age_inside_the_population_cannot_be_disowned(active_model, as_doctor):
    location = checked(as_doctor, dicom(age="004Y"))
    response = decided(as_doctor, location, patient_age_years=f"disowned: {BECAUSE}")
    assert response.status_code == 200
    assert not Reading.objects.exists()


def test_prediction_counts_the_headers_age_beside_the_stated_one(lenient_model):
    adult = dicom(age="062Y")
    assert inference.predict(adult, stated=inference.Stated(age_years=3)).scope_reasons == ("age",)
    disowned = inference.Stated(age_years=3, trusts_header_age=False)
    assert inference.predict(adult, stated=disowned).scope_reasons == ()
    child = dicom(age="003Y")
    assert inference.predict(child, stated=inference.Stated(age_years=62)).scope_reasons == ("age",)


def test_a_wrong_file_is_dropped_and_the_other_fields_are_kept(active_model, as_doctor):
    location = checked(as_doctor, dicom(patient_name="Lin^Hao"), patient_sex="M")
    assert len(pending_files()) == 1
    response = as_doctor.post(location, {"wrong_file": "1"})
    form = as_doctor.get(response.headers["Location"])
    assert b"DICM" not in b"".join(path.read_bytes() for path in pending_files())
    shown = form.content.decode()
    for value in ("陳小明", "A123", 'value="3"', "2026-01-02"):
        assert value in shown
    assert '<option value="M" selected' in shown
    assert "陳小明" not in response.headers["Location"]
    assert not Reading.objects.exists()


def test_a_script_is_led_to_the_page(active_model, as_doctor):
    fields = patient_details(submission=uuid.uuid4(), film=upload_of(dicom(age="004Y")))
    response = as_doctor.post(
        "/readings/new/", fields, headers={"x-requested-with": "XMLHttpRequest"}
    )
    assert response.status_code == 201
    assert response.json()["location"].startswith("/readings/new/check/")


def test_another_doctor_cannot_see_or_decide_it(active_model, as_doctor, as_other_doctor):
    location = checked(as_doctor, dicom(patient_name="Lin^Hao"))
    for response in (
        as_other_doctor.get(location),
        as_other_doctor.post(location, {"choose_patient_name": "file"}),
    ):
        assert response.status_code == 302
        shown = as_other_doctor.get(response.headers["Location"]).content.decode()
        assert "Lin Hao" not in shown
        assert "陳小明" not in shown
    assert not Reading.objects.exists()


def test_an_upload_that_nobody_decides_is_removed(active_model, as_doctor, capsys):
    import os

    location = checked(as_doctor, dicom(patient_name="Lin^Hao"))
    (file,) = pending_files()
    call_command("sweep_films")
    assert pending_files() == [file]
    long_ago = file.stat().st_mtime - pending.LIFETIME.total_seconds() - 1
    os.utime(file, (long_ago, long_ago))
    gone = as_doctor.get(location, follow=True)
    assert "no longer kept for this form" in gone.content.decode()
    (file.parent / ".part-killed").write_bytes(b"half")
    os.utime(file.parent / ".part-killed", (long_ago, long_ago))
    call_command("sweep_films")
    assert pending_files() == []
    assert "2 temporary file(s) removed." in capsys.readouterr().out


def test_pending_uploads_are_private_and_bounded(active_model, as_doctor, monkeypatch):
    monkeypatch.setattr(pending, "MAX_PER_DOCTOR", 2)
    for seed in (1, 2, 3):
        checked(as_doctor, dicom(seed=seed, patient_name="Lin^Hao"))
    assert len(pending_files()) == 2
    for file in pending_files():
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0


def test_a_full_disk_leaves_nothing_half_written(active_model, as_doctor, monkeypatch):
    import os

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    response = post_film(as_doctor, dicom(patient_name="Lin^Hao"))
    assert response.status_code == 503
    assert "storage is full" in response.content.decode().lower()
    assert pending_files() == []
    assert not Reading.objects.exists()


def test_choices_that_contradict_each_other_are_refused(active_model, as_doctor):
    """The form's date of birth gives 3 years; taking the file's age of 4 alone is impossible."""
    data = dicom(age="004Y", birth_date="20210505")
    location = checked(as_doctor, data, patient_birth_date="2022-05-05")
    response = decided(
        as_doctor, location, patient_birth_date="form: typed from the card",
        patient_age_years="file",
    )  # fmt: skip
    assert "gives an age of 3" in response.content.decode()
    assert not Reading.objects.exists()
    decided(as_doctor, location, patient_birth_date="file", patient_age_years="file")
    reading = Reading.objects.get()
    assert reading.patient_age_years == 4
    assert reading.patient_birth_date == datetime.date(2021, 5, 5)


@pytest.mark.filterwarnings("ignore:.*exceeds the maximum length")
def test_an_invalid_value_of_the_file_cannot_be_taken(active_model, as_doctor):
    location = checked(as_doctor, dicom(patient_id="9" * 70))
    response = decided(as_doctor, location, patient_number="file")
    assert "at most 64 characters" in response.content.decode()
    assert not Reading.objects.exists()


def test_the_service_itself_stores_nothing_undecided(active_model, doctor):
    data = dicom(age="062Y", patient_name="Lin^Hao")
    for fields in (
        {},
        {"patient_age_years": Choice(Source.FILE)},
        {"patient_age_years": Choice(Source.FILE), "patient_name": Choice(Source.FORM)},
    ):
        with pytest.raises(UndecidedError) as caught:
            submit(doctor, data, decisions=Decisions(fields=fields))
        assert {each.field for each in caught.value.conflicts.differences} == {
            "patient_age_years", "patient_name",
        }  # fmt: skip
    assert not Reading.objects.exists()
    assert stored_films() == []


def test_the_page_is_in_chinese(active_model, doctor):
    browser = signed_in(doctor)
    location = checked(browser, dicom(age="062Y", patient_name="Lin^Hao", PatientSex="F"),
                       patient_sex="M")  # fmt: skip
    page = browser.get(location, headers={"accept-language": "zh-hant"}).content.decode()
    main = page[page.index("<main") : page.index("</main>")]
    for shown in ("儲存前", "檔案正確", "表單正確", "女", "男", "62 歲"):
        assert shown in main, shown
    for english in ("The file", "Reason", "Wrong file", "Read X-ray"):
        assert english not in main
