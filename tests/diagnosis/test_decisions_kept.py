"""Decisions between file and form stay on a reading, and bind later edits."""

import csv
import io

import pytest

from accounts.models import AuditEntry
from diagnosis.models import Label, Reading, Source
from diagnosis.services.conflicts import Choice, Decisions, UndecidedError
from diagnosis.services.readings import edit_reading
from diagnosis.services.replay import replay
from mlcore import inference
from tests.conftest import patient_details
from tests.diagnosis.checking import BECAUSE, PATIENT, checked, decided, dicom
from tests.diagnosis.test_services import submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def disputed(active_model, as_doctor) -> Reading:
    """A reading whose name the doctor chose against the file."""
    location = checked(as_doctor, dicom(patient_name="Lin^Hao", PatientSex="M"))
    decided(as_doctor, location, patient_name=f"form: {BECAUSE}")
    return Reading.objects.get()


def test_the_decision_stays_on_every_page_of_the_reading(
    disputed, as_doctor, as_supervisor, supervisor
):
    pages = {
        "page": as_doctor.get(disputed.get_absolute_url()),
        "report": as_doctor.get(f"{disputed.get_absolute_url()}report/"),
        "admin": as_supervisor.get(f"/admin/diagnosis/reading/{disputed.pk}/change/"),
    }
    for name, response in pages.items():
        shown = response.content.decode()
        for part in ("Lin Hao", "father&#x27;s number", "The form is right"):
            assert part in shown, (name, part)
    assert "differs from the file" in as_doctor.get("/readings/").content.decode()
    changelist = as_supervisor.get("/admin/diagnosis/reading/").content.decode()
    assert "differs from the file" in changelist


def test_the_decision_is_exported_and_audited(disputed, as_supervisor):
    content = b"".join(as_supervisor.get("/admin/diagnosis/reading/export/").streaming_content)
    (row,) = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    assert row["file_and_form"] == (
        f"patient_name: file 'Lin Hao', form '陳小明', chosen form, because {BECAUSE}"
    )
    assert (row["file_name"], row["file_mime_type"]) == ("film.dcm", "application/dicom")
    assert (row["patient_sex"], row["patient_birth_date"]) == ("M", "")
    entry = AuditEntry.objects.get(object_pk=str(disputed.pk), what="discrepancy")
    assert entry.changes_dict["patient_name"][0] == "Lin Hao"
    assert BECAUSE in entry.changes_dict["patient_name"][1]


def test_an_edit_that_contradicts_the_file_asks_again(disputed, as_doctor):
    address = f"/readings/{disputed.pk}/edit/"
    same = as_doctor.post(address, patient_details(patient_sex="M", exam_date="2026-01-02"))
    assert same.status_code == 302, "what was decided is not asked for again"
    typed = patient_details(patient_sex="F", patient_age_years="4")
    asked = as_doctor.post(address, typed)
    assert [row["field"] for row in asked.context["form"].rows] == [
        "patient_sex", "patient_age_years",
    ]  # fmt: skip
    assert Reading.objects.get().patient_sex == "M"
    refused = as_doctor.post(address, typed | {"decide": "1", "choose_patient_sex": "form"})
    assert "Enter the reason." in refused.content.decode()
    back = as_doctor.post(address, typed | {"decide": "1", "back": "1"})
    assert back.context["form"]["patient_sex"].value() == "F"
    assert Reading.objects.get().patient_sex == "M"
    answers = {
        "decide": "1",
        "choose_patient_sex": "form",
        "reason_patient_sex": "entered wrongly",
        "choose_patient_age_years": "file",
    }
    assert as_doctor.post(address, typed | answers).status_code == 302
    edited = Reading.objects.get()
    assert (edited.patient_sex, edited.patient_age_years) == ("F", 3)
    assert [entry["field"] for entry in edited.discrepancies] == [
        "patient_name", "patient_sex", "patient_age_years",
    ]  # fmt: skip
    entry = AuditEntry.objects.filter(object_pk=str(edited.pk), what="discrepancy").first()
    assert "entered wrongly" in entry.changes_dict["patient_sex"][1]


def test_an_edit_cannot_bring_a_label_to_an_adults_film(lenient_model, as_doctor, doctor):
    location = checked(as_doctor, dicom(age="062Y"))
    decided(as_doctor, location, patient_age_years="file")
    reading = Reading.objects.get()
    with pytest.raises(UndecidedError):
        edit_reading(doctor=doctor, reading_id=reading.pk, patient=PATIENT)
    choice = {"patient_age_years": Choice(Source.FORM, "typed from the card")}
    edited = edit_reading(
        doctor=doctor, reading_id=reading.pk, patient=PATIENT, decisions=Decisions(fields=choice)
    )
    assert edited.label == Label.OUT_OF_SCOPE


def test_an_edit_of_an_older_reading_is_compared_with_its_file(lenient_model, as_doctor, doctor):
    location = checked(as_doctor, dicom(age="062Y"))
    decided(as_doctor, location, patient_age_years="form: x")
    # As a reading made before the file's values were stored.
    Reading.objects.update(film_patient=None, discrepancies=[], label=Label.NORMAL)
    reading = Reading.objects.get()
    with pytest.raises(UndecidedError):
        edit_reading(doctor=doctor, reading_id=reading.pk, patient=PATIENT)
    assert Reading.objects.get().film_patient is None


def test_an_older_reading_is_replayed_by_the_rule_of_its_time(lenient_model, doctor):
    """The file's age did not count then; the stored result is still the model's."""
    data = dicom(age="062Y")
    choice = {"patient_age_years": Choice(Source.FORM, "x")}
    reading = submit(doctor, data, decisions=Decisions(fields=choice))
    then = inference.predict(data, stated=inference.Stated(3, trusts_header_age=False))
    reading.label, reading.scope_reasons = then.label, list(then.scope_reasons)
    reading.film_patient = None
    assert reading.label != Label.OUT_OF_SCOPE
    assert replay(reading) == []
