"""The services of readings, with the shipped model and synthetic films."""

import datetime
import hashlib
import os
import uuid
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import AuditEntry
from diagnosis import retention, storage
from diagnosis.models import Label, Reading
from diagnosis.services.films import FilmMissingError, film_rendering, heatmap, original_film
from diagnosis.services.opinions import review_reading
from diagnosis.services.readings import (
    PatientDetails,
    SubmissionTakenError,
    edit_reading,
    submit_reading,
)
from diagnosis.validators import validate_film
from mlcore import inference
from tests.diagnosis.checking import dicom
from tests.films import encode, encode_dicom, synthetic_film

PATIENT = PatientDetails(
    name="陳小明", number="A123", age_years=3, exam_date=datetime.date(2026, 1, 2)
)


def upload(data: bytes):
    return validate_film(SimpleUploadedFile("film", data))


def submit(
    doctor, data: bytes, *, patient: PatientDetails = PATIENT, submission=None, **more
) -> Reading:
    return submit_reading(
        doctor=doctor,
        upload=upload(data),
        patient=patient,
        submission=submission or uuid.uuid4(),
        **more,
    )


def stored_files() -> list[str]:
    root = Path(storages["films"].base_location)
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_reading_stores_the_prediction_and_the_film_byte_for_byte(
    active_model, doctor, film_bytes
):
    reading = submit(doctor, film_bytes)
    reading.refresh_from_db()
    assert reading.doctor == doctor
    said = inference.predict(film_bytes, stated=inference.Stated(age_years=PATIENT.age_years))
    assert (reading.label, reading.scope_reasons) == (said.label, list(said.scope_reasons))
    assert reading.probabilities == said.probabilities
    assert reading.scope_score == said.scope_score
    assert sum(reading.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert reading.threshold == active_model.card["threshold"]["value"]
    assert reading.bundle_sha256 == active_model.bundle_sha256
    assert reading.film_sha256 == hashlib.sha256(film_bytes).hexdigest()
    assert original_film(reading) == film_bytes


def test_resubmission_creates_one_reading(active_model, doctor, film_bytes):
    submission = uuid.uuid4()
    first = submit(doctor, film_bytes, submission=submission)
    again = submit(doctor, film_bytes, submission=submission)
    assert first.pk == again.pk
    assert Reading.objects.count() == 1


def test_another_doctors_submission_is_refused(active_model, doctor, other_doctor, film_bytes):
    submission = uuid.uuid4()
    submit(doctor, film_bytes, submission=submission)
    with pytest.raises(SubmissionTakenError):
        submit(other_doctor, film_bytes, submission=submission)
    assert Reading.objects.get().doctor == doctor


def test_only_doctors_submit_readings(active_model, supervisor, ml_engineer, film_bytes):
    for person in (supervisor, ml_engineer):
        with pytest.raises(PermissionDenied):
            submit(person, film_bytes)
    assert stored_files() == []


def test_a_patient_outside_the_validated_ages_is_out_of_scope(active_model, doctor):
    low, high = active_model.card["population"]["age_years"]
    for seed, age in enumerate((low - 1, high + 1, 70)):
        patient = PatientDetails(name="A", age_years=age, exam_date=PATIENT.exam_date)
        film = encode(synthetic_film("NORMAL", seed=seed), "png")
        reading = submit(doctor, film, patient=patient)
        assert reading.label == Label.OUT_OF_SCOPE
        assert "age" in reading.scope_reasons


def test_correcting_the_age_updates_only_the_label(active_model, doctor, film_bytes):
    reading = submit(doctor, film_bytes)
    before = Reading.objects.values().get()
    adult = PatientDetails(name="A", age_years=40, exam_date=PATIENT.exam_date)
    edit_reading(doctor=doctor, reading_id=reading.pk, patient=adult)
    edited = Reading.objects.get()
    assert edited.label == Label.OUT_OF_SCOPE
    edit_reading(doctor=doctor, reading_id=reading.pk, patient=PATIENT)
    after = Reading.objects.values().get()
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == before


@pytest.mark.parametrize(
    ("reason", "stated"),
    [
        ("modality", {"modality": "RF"}),
        ("view", {"view_position": "LL"}),
        ("body_part", {"body_part": "HAND"}),
    ],
)
def test_a_dicom_header_out_of_scope_is_stored_and_refused(lenient_model, doctor, reason, stated):
    data = dicom(**stated)
    reading = submit(doctor, data)
    assert reading.film_format == "DICOM"
    assert reading.label == Label.OUT_OF_SCOPE
    assert reading.scope_reasons == [reason]
    assert original_film(reading) == data
    within = submit(doctor, dicom(seed=2))
    assert within.label != Label.OUT_OF_SCOPE
    assert within.scope_reasons == []


def test_another_doctors_reading_cannot_be_edited_or_deleted(
    active_model, doctor, other_doctor, film_bytes
):
    reading = submit(doctor, film_bytes)
    with pytest.raises(Reading.DoesNotExist):
        edit_reading(doctor=other_doctor, reading_id=reading.pk, patient=PATIENT)
    with pytest.raises(Reading.DoesNotExist):
        retention.hide_reading(doctor=other_doctor, reading_id=reading.pk, reason="MISTAKE")


def test_a_film_that_cannot_be_written_leaves_nothing(
    active_model, doctor, film_bytes, monkeypatch
):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        submit(doctor, film_bytes)
    assert Reading.objects.count() == 0
    assert stored_files() == []


def test_an_altered_film_is_detected(active_model, doctor, film_bytes):
    reading = submit(doctor, film_bytes)
    path = storages["films"].path(storage.original_name(reading.film_sha256))
    with open(path, "ab") as film:  # noqa: PTH123
        film.write(b"x")
    with pytest.raises(FilmMissingError):
        original_film(reading)


def test_changes_are_audited_without_the_film(active_model, doctor, film_bytes):
    reading = submit(doctor, film_bytes)
    edit_reading(
        doctor=doctor,
        reading_id=reading.pk,
        patient=PatientDetails(name="B", age_years=4, exam_date=PATIENT.exam_date),
    )
    review_reading(doctor=doctor, reading_id=reading.pk, verdict="OTHER", note="old fracture")
    entries = AuditEntry.objects.filter(object_pk=str(reading.pk)).order_by("pk")
    assert [entry.what for entry in entries] == ["created", "edited", "opinion-signed"]
    assert entries[1].changes_dict["patient_name"] == ["陳小明", "B"]
    assert entries[2].changes_dict == {"verdict": ["", "OTHER"], "note": ["", "old fracture"]}
    for field in ("activation_map", "patient_name_key", "agreement"):
        assert all(field not in entry.changes_dict for entry in entries)


def test_rendering_has_no_metadata(active_model, doctor):
    pixels = synthetic_film("NORMAL", seed=2, size=256)
    data = encode_dicom(pixels, patient_name="SECRET^NAME", patient_id="SECRET-ID")
    patient = PatientDetails("Secret Name", 3, PATIENT.exam_date, number="SECRET-ID")
    rendering = film_rendering(submit(doctor, data, patient=patient), max_side=1600)
    assert b"SECRET" in data
    assert b"SECRET" not in rendering
    assert rendering.startswith(b"\xff\xd8\xff")


def test_the_heatmap_has_the_films_aspect_ratio(active_model, doctor):
    import io

    from PIL import Image

    wide = encode(synthetic_film("PNEUMONIA", seed=3, size=256)[:192], "png")
    picture = Image.open(io.BytesIO(heatmap(submit(doctor, wide))))
    assert picture.mode == "RGBA"
    assert picture.width / picture.height == pytest.approx(256 / 192, rel=0.01)
