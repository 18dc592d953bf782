"""Patients and studies: which readings are of one patient, and who learns of it."""

import datetime
import importlib
import uuid
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.utils import translation

from diagnosis import retention
from diagnosis.models import Patient, Reading, Study
from diagnosis.services import patient_moves
from diagnosis.services.conflicts import Decisions, UndecidedError
from diagnosis.services.duplicates import possible_duplicates, tell_apart
from diagnosis.services.patients import PatientDetails
from diagnosis.services.readings import edit_reading, submit_reading
from diagnosis.validators import validate_film_bytes
from tests.factories import ReadingFactory
from tests.films import encode, synthetic_film


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


DAY = datetime.date(2026, 1, 2)


def read(doctor, name, number="", *, seed, decisions=None, day=DAY):
    upload = validate_film_bytes(encode(synthetic_film("NORMAL", seed=seed), "png"), "film.png")
    return submit_reading(
        doctor=doctor, upload=upload, patient=PatientDetails(name, 3, day, number),
        submission=uuid.uuid4(), decisions=decisions or Decisions(),
    )  # fmt: skip


def patient_of(reading):
    return Reading.objects.get(pk=reading.pk).study.patient


def test_readings_with_one_number_are_of_one_patient_whichever_doctor_read_them(
    doctor, other_doctor, active_model
):
    first = read(doctor, "王小明", "A12 345", seed=1)
    same_day = read(doctor, "王小明", "a12345", seed=2)
    later = read(other_doctor, "王小明", "Ａ１２３４５", seed=3, day=datetime.date(2026, 2, 1))
    assert patient_of(first) == patient_of(same_day) == patient_of(later)
    assert first.study == same_day.study != later.study
    assert Patient.objects.count() == 1


def test_readings_without_a_number_stay_on_their_own(doctor, active_model):
    assert patient_of(read(doctor, "王小明", seed=1)) != patient_of(read(doctor, "王小明", seed=2))


def test_number_known_to_another_doctor_only_asks_nothing_and_reveals_nothing(
    doctor, other_doctor, active_model
):
    theirs = read(other_doctor, "陳大文", "123", seed=1)
    own = read(doctor, "王小明", "123", seed=2)
    assert patient_of(own) != patient_of(theirs)
    assert (patient_of(own).number_disputed, patient_of(theirs).number_disputed) == (True, False)
    # The next film of the same child joins the doctor's own patient.
    assert patient_of(read(doctor, "王小明", "123", seed=3)) == patient_of(own)


def test_own_number_under_another_name_is_asked_about(doctor, active_model):
    first = read(doctor, "王小明", "123", seed=1)
    with pytest.raises(UndecidedError) as caught:
        read(doctor, "Wang Xiao-Ming", "123", seed=2)
    assert caught.value.conflicts.same_number == (first,)
    same = read(doctor, "Wang Xiao-Ming", "123", seed=2, decisions=Decisions(same_as=first.pk))
    assert patient_of(same) == patient_of(first)
    assert [entry["field"] for entry in same.discrepancies] == ["number"]
    read(doctor, "Wang Xiao-Ming", "123", seed=3)  # known by both names now
    other = read(doctor, "林美", "123", seed=4, decisions=Decisions(number_reason="twin"))
    assert patient_of(other) != patient_of(first)


def test_editing_the_number_moves_the_reading_and_forgets_an_empty_patient(doctor, active_model):
    first, second = read(doctor, "王小明", "1", seed=1), read(doctor, "王小明", "2", seed=2)
    patient = PatientDetails("王小明", 3, DAY, "1")
    edited = edit_reading(doctor=doctor, reading_id=second.pk, patient=patient)
    assert patient_of(edited) == patient_of(first)
    assert (Patient.objects.count(), Study.objects.count()) == (1, 1)


def test_purging_the_last_reading_forgets_the_patient(doctor, supervisor, active_model):
    kept, purged = read(doctor, "王小明", "1", seed=1), read(doctor, "陳大文", "2", seed=2)
    retention.hide_reading(doctor=doctor, reading_id=purged.pk, reason="MISTAKE")
    assert Patient.objects.count() == 2
    retention.purge_reading(supervisor=supervisor, reading_id=purged.pk, reason="r")
    assert list(Patient.objects.all()) == [patient_of(kept)]
    assert Study.objects.count() == 1


def test_number_with_a_wrong_check_digit_is_asked_about(doctor, active_model):
    with pytest.raises(UndecidedError) as caught:
        read(doctor, "王小明", "A123456788", seed=1)
    assert caught.value.conflicts.doubtful == ("A123456788",)
    right = Decisions(confirmed_number="A123456788")
    assert read(doctor, "王小明", "A123456788", seed=1, decisions=right).study
    assert read(doctor, "林美", "A123456789", seed=2).study


def test_existing_readings_are_linked_by_number_and_name(active_model):
    migration = importlib.import_module("diagnosis.migrations.0013_link_readings")
    made = {
        label: ReadingFactory(patient_name=name, patient_number=number, exam_date=day)
        for label, name, number, day in (
            ("first", "CHEN^WEI", "a 1", DAY),
            ("same", "Chen, Wei", "A1", DAY),
            ("later", "Wei Chen", "A1", datetime.date(2026, 3, 1)),
            ("other", "林美", "A1", DAY),
            ("alone", "林美", "", DAY),
            ("alone too", "林美", "", DAY),
        )
    }
    migration.link(apps, SimpleNamespace(connection=connection))
    patients = {label: patient_of(reading) for label, reading in made.items()}
    assert patients["first"] == patients["same"] == patients["later"]
    assert patients["other"].number_disputed
    assert not patients["first"].number_disputed
    assert Patient.objects.count() == 4
    assert Study.objects.count() == 5
    migration.unlink(apps, SimpleNamespace(connection=connection))
    assert not Reading.objects.filter(study__isnull=False).exists()
    assert not Patient.objects.exists()


class TestMerging:
    @pytest.fixture
    def two(self, doctor, other_doctor, active_model):
        return read(doctor, "王小明", "1", seed=1), read(other_doctor, "王小名", "2", seed=2)

    def merge(self, supervisor, source, target, *from_source):
        return patient_moves.merge_patients(
            supervisor=supervisor, source_id=patient_of(source).pk,
            target_id=patient_of(target).pk, from_source=from_source, reason="same child",
        )  # fmt: skip

    def test_merge_and_undo(self, two, supervisor, doctor):
        first, second = two
        source, target = patient_of(first), patient_of(second)
        operation = self.merge(supervisor, first, second, "name")
        assert patient_of(first) == patient_of(second) == target
        target.refresh_from_db()
        assert (target.name, target.number) == ("王小明", "2")
        patient_moves.undo(supervisor=supervisor, operation_id=operation.pk)
        assert (patient_of(first), patient_of(second)) == (source, target)
        target.refresh_from_db()
        assert target.name == "王小名"
        with pytest.raises(patient_moves.MoveRefusedError, match="already"):
            patient_moves.undo(supervisor=supervisor, operation_id=operation.pk)

    def test_number_of_a_merged_patient_leads_to_the_other(self, two, supervisor, doctor):
        operation = self.merge(supervisor, *two)
        later = read(doctor, "王小明", "1", seed=3)
        assert patient_of(later) == patient_of(two[1])
        with pytest.raises(patient_moves.MoveRefusedError, match="added"):
            patient_moves.undo(supervisor=supervisor, operation_id=operation.pk)

    def test_split_and_undo(self, supervisor, doctor, active_model):
        kept, moved = (read(doctor, "王小明", "1", seed=seed) for seed in (1, 2))
        before = patient_of(kept)
        operation = patient_moves.split_patient(
            supervisor=supervisor, patient_id=before.pk, reading_ids=[moved.pk], reason="r"
        )
        assert patient_of(kept) == before != patient_of(moved)
        assert patient_of(moved).number_disputed
        patient_moves.undo(supervisor=supervisor, operation_id=operation.pk)
        assert patient_of(kept) == patient_of(moved) == before

    @pytest.mark.usefixtures("active_model")
    def test_possible_duplicates_until_they_are_told_apart(self, supervisor, doctor, other_doctor):
        read(doctor, "王小明", "1", seed=1)
        read(other_doctor, "林美", "1", seed=2)
        (group,) = possible_duplicates(supervisor)
        assert {patient.name for patient in group.patients} == {"王小明", "林美"}
        tell_apart(supervisor=supervisor, patient_ids=group.ids, reason="r")
        assert possible_duplicates(supervisor) == []

    def test_merging_twins_of_a_number_settles_it(self, supervisor, doctor, other_doctor, two):
        third = read(doctor, "陳大文", "2", seed=5)
        assert patient_of(third).number_disputed
        self.merge(supervisor, two[1], third)
        assert not patient_of(third).number_disputed
