"""The original file name, the MIME type, and the patient's sex and date of birth."""

import datetime
import hashlib
import importlib

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.audit.verify import verify_log
from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.models import Reading
from diagnosis.services.films import file_names
from tests.conftest import patient_details, post_film
from tests.diagnosis.checking import dicom
from tests.factories import ReadingFactory
from tests.films import encode, synthetic_film
from xraysite.common.file_names import MAX_LENGTH, display_name

pytestmark = pytest.mark.django_db

PIXELS = synthetic_film("NORMAL", seed=31)


@pytest.mark.parametrize(
    ("format", "mime_type"),
    [
        ("jpeg", "image/jpeg"),
        ("png", "image/png"),
        ("bmp", "image/bmp"),
        ("tiff", "image/tiff"),
        ("webp", "image/webp"),
        ("dicom", "application/dicom"),
    ],
)
def test_name_and_mime_type_are_stored_and_shown(
    format, mime_type, active_model, as_doctor, as_supervisor
):
    """The MIME type comes from the content, whatever the name says."""
    data = dicom(seed=31) if format == "dicom" else encode(PIXELS, format)
    post_film(as_doctor, data, "王小明 胸部.txt")
    reading = Reading.objects.get()
    assert (reading.original_name, reading.film_mime_type) == ("王小明 胸部.txt", mime_type)
    pages = (
        as_doctor.get(reading.get_absolute_url()),
        as_supervisor.get(f"/admin/diagnosis/reading/{reading.pk}/change/"),
    )
    for page in pages:
        assert "王小明 胸部.txt" in page.content.decode()
        assert mime_type in page.content.decode()
    original = as_doctor.get(f"{reading.get_absolute_url()}film/?size=original")
    assert original.content == data
    assert original.headers["Content-Type"] == mime_type
    assert original.headers["Content-Disposition"] == (
        "attachment; filename*=utf-8''%E7%8E%8B%E5%B0%8F%E6%98%8E%20%E8%83%B8%E9%83%A8.txt"
    )
    assert "sandbox" in original.headers["Content-Security-Policy"]
    assert original.headers["X-Content-Type-Options"] == "nosniff"


def test_downloading_the_original_is_recorded_and_restricted(
    reading, as_doctor, as_other_doctor, as_supervisor, film_bytes
):
    address = f"/readings/{reading.pk}/film/?size=original"
    assert as_other_doctor.get(address).status_code == 404
    assert hashlib.sha256(as_doctor.get(address).content).hexdigest() == reading.film_sha256
    assert as_supervisor.get(address).status_code == 200
    assert AuditEntry.objects.filter(object_pk=str(reading.pk), what="original").count() == 2
    storage.remove(file_names(reading.film_sha256))
    assert as_doctor.get(address).status_code == 503


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("C:\\Users\\王\\film.dcm", "film.dcm"),
        ("../../etc/passwd", "passwd"),
        ("a\x00b\x1b[31m\r\nc.png", "ab[31m c.png"),
        ("gnp.\u202egpj.exe", "gnp.gpj.exe"),
        ("  two   spaces .png ", "two spaces .png"),
        ("..", ""),
        ("", ""),
        ("<script>.png", "<script>.png"),
    ],
)
def test_a_file_name_is_made_safe_to_show(name, shown):
    assert display_name(name) == shown


def test_a_long_file_name_keeps_its_ending():
    shown = display_name("é" * 400 + ".dcm")
    assert len(shown) == MAX_LENGTH
    assert shown.endswith("….dcm")
    assert len(display_name("x" * 400)) == MAX_LENGTH
    assert len(display_name("x." + "y" * 400)) == MAX_LENGTH


def test_markup_in_a_file_name_is_escaped(active_model, as_doctor):
    post_film(as_doctor, encode(PIXELS, "png"), "<b onclick=x>.png")
    page = as_doctor.get(Reading.objects.get().get_absolute_url()).content.decode()
    assert "<b onclick" not in page
    assert "&lt;b onclick=x&gt;.png" in page


@pytest.mark.parametrize(
    ("birth", "exam", "years"),
    [
        ("2022-02-28", "2026-02-27", 3),
        ("2022-02-28", "2026-02-28", 4),
        ("2020-02-29", "2025-02-28", 4),
        ("2020-02-29", "2025-03-01", 5),
        ("2026-01-02", "2026-01-02", 0),
    ],
)
def test_the_age_is_counted_by_calendar(birth, exam, years, active_model, as_doctor):
    typed = {"patient_birth_date": birth, "exam_date": exam, "patient_age_years": ""}
    response = post_film(as_doctor, encode(PIXELS, "png"), **typed, patient_sex="F")
    assert response.status_code == 302, response.context["form"].errors
    reading = Reading.objects.get()
    assert reading.patient_age_years == years
    assert reading.patient_birth_date == datetime.date.fromisoformat(birth)
    assert reading.patient_sex == "F"
    page = as_doctor.get(f"{reading.get_absolute_url()}report/").content.decode()
    assert birth in page
    assert "Female" in page


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"patient_birth_date": "2022-05-05", "patient_age_years": "4"}, "patient_age_years",
         "gives an age of 3 on the exam date"),
        ({"patient_birth_date": "2026-05-05"}, "patient_birth_date", "is after the exam date"),
        ({"patient_birth_date": "0202-05-05"}, "patient_birth_date", "four digits"),
        ({"patient_birth_date": "soon"}, "patient_birth_date", "Enter a date such as 2023-05-01"),
        ({"patient_birth_date": "2022-05-05", "patient_age_years": "x"}, "patient_age_years",
         "Enter a whole number."),
        ({"patient_sex": "X"}, "patient_sex", "Select a valid choice."),
        ({"patient_age_years": ""}, "patient_age_years", "This field is required."),
    ],
)  # fmt: skip
def test_details_that_contradict_each_other_are_refused(
    changes, field, said, active_model, as_doctor, film_bytes
):
    response = post_film(as_doctor, film_bytes, **changes)
    assert said in response.context["form"].errors[field][0]
    assert not Reading.objects.exists()


def test_a_header_fills_sex_date_of_birth_and_age(active_model, as_doctor):
    data = dicom(age=None, birth_date="20220405", PatientSex="M")
    post_film(as_doctor, data, patient_age_years="")
    reading = Reading.objects.get()
    assert (reading.patient_sex, reading.patient_age_years) == ("M", 3)
    assert reading.patient_birth_date == datetime.date(2022, 4, 5)


def test_sex_and_date_of_birth_can_be_corrected(reading, as_doctor):
    address = f"/readings/{reading.pk}/edit/"
    sent = patient_details(patient_birth_date="2022-05-05", patient_sex="O", patient_age_years="")
    assert as_doctor.post(address, sent).status_code == 302
    reading.refresh_from_db()
    assert (reading.patient_sex, reading.patient_age_years) == ("O", 3)
    entry = AuditEntry.objects.filter(object_pk=str(reading.pk), what="edited").get()
    assert entry.changes_dict["patient_birth_date"] == ["None", "2022-05-05"]


def test_older_readings_get_their_mime_type(active_model):
    jpeg = ReadingFactory(film_format="JPEG")
    unknown = ReadingFactory(film_format="XYZ")
    importlib.import_module("diagnosis.migrations.0007_fill_mime_types").fill(apps, None)
    jpeg.refresh_from_db()
    unknown.refresh_from_db()
    assert (jpeg.film_mime_type, unknown.film_mime_type) == ("image/jpeg", "")


@pytest.mark.django_db(transaction=True)
def test_migrations_keep_readings_and_seals(shipped_bundle, active_model):
    """Go back to the schema before, add a reading as it was then, and migrate."""
    before = [("diagnosis", "0005_wording")]
    reading = ReadingFactory(film_format="DICOM")
    seals = list(AuditEntry.objects.values_list("seal", flat=True))
    assert seals
    executor = MigrationExecutor(connection)
    try:
        executor.migrate(before)
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM diagnosis_reading")
            assert cursor.fetchone() == (1,)
    finally:
        call_command("migrate", verbosity=0)
    migrated = Reading.objects.get()
    assert migrated.pk == reading.pk
    assert migrated.patient_name == reading.patient_name
    assert migrated.film_mime_type == "application/dicom"
    assert (migrated.film_patient, migrated.discrepancies) == (None, [])
    assert list(AuditEntry.objects.values_list("seal", flat=True)) == seals
    assert list(verify_log()) == []
