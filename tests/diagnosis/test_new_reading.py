"""Uploading a film: the result, and the error for every kind of bad file."""

import hashlib
import uuid
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.storage import storages
from django.db import connection
from django.utils import translation
from django.utils.html import escape
from django.utils.translation import gettext_lazy

from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.models import Reading
from diagnosis.services.films import file_names
from mlcore import inference
from mlcore.engine.films.errors import SENTENCES
from mlcore.management.commands.predict_image import read_one
from tests.conftest import patient_details, post_film, signed_in, upload_of
from tests.films import encode, encode_dicom, hostile_files, synthetic_film

pytestmark = pytest.mark.django_db


def nothing_stored() -> bool:
    root = Path(storages["films"].base_location)
    return not Reading.objects.exists() and not any(p.is_file() for p in root.rglob("*"))


def test_upload_shows_the_result(lenient_model, as_doctor, film_bytes):
    response = post_film(as_doctor, film_bytes)
    reading = Reading.objects.get()
    assert response.headers["Location"] == f"/readings/{reading.pk}/"
    page = as_doctor.get(response.headers["Location"]).content.decode()
    assert reading.label in {"NORMAL", "PNEUMONIA"}
    assert str(reading.get_label_display()) in page
    assert escape(reading.probability_text) in page
    assert reading.rule_text in page or reading.is_out_of_scope
    assert f"{reading.threshold:.3f}" not in page
    for shown in ("陳小明", "A123", reading.model_name, reading.bundle_sha256[:12]):
        assert shown in page
    assert f"/readings/{reading.pk}/film/" in page
    assert f"/readings/{reading.pk}/heatmap/" in page


def test_a_script_gets_the_url_as_json(active_model, as_doctor, film_bytes):
    fields = patient_details(submission=uuid.uuid4(), film=upload_of(film_bytes))
    response = as_doctor.post(
        "/readings/new/", fields, headers={"x-requested-with": "XMLHttpRequest"}
    )
    assert response.status_code == 201
    assert response.json() == {"location": f"/readings/{Reading.objects.get().pk}/"}


@pytest.mark.parametrize("address", ["/readings/new/", "/readings/new/inspect/"])
def test_two_files_are_refused(address, lenient_model, as_doctor, film_bytes):
    """Django keeps the last of several files with one name, the browser showed the first."""
    other = encode(synthetic_film("PNEUMONIA", seed=99), "png")
    films = [upload_of(other), upload_of(film_bytes)]
    sent = patient_details(submission=uuid.uuid4(), film=films)
    response = as_doctor.post(address, sent, headers={"x-requested-with": "XMLHttpRequest"})
    assert response.status_code == 422
    assert "2 files were sent" in response.content.decode()
    assert nothing_stored()


def test_a_file_in_another_field_is_refused(lenient_model, as_doctor, film_bytes):
    both = patient_details(submission=uuid.uuid4(), film=upload_of(film_bytes))
    page = as_doctor.post("/readings/new/", both | {"photo": upload_of(film_bytes)})
    assert "2 files were sent" in page.content.decode()
    alone = patient_details(submission=uuid.uuid4(), photo=upload_of(film_bytes))
    page = as_doctor.post("/readings/new/", alone)
    assert "The file was sent in an unknown field." in page.content.decode()
    assert nothing_stored()


def test_a_film_other_than_the_one_shown_is_refused(lenient_model, as_doctor, film_bytes):
    shown = hashlib.sha256(b"another file").hexdigest()
    response = post_film(as_doctor, film_bytes, film_sha256=shown)
    assert "not the one that was shown" in response.content.decode()
    assert nothing_stored()
    shown = hashlib.sha256(film_bytes).hexdigest()
    assert post_film(as_doctor, film_bytes, film_sha256=shown).status_code == 302


HOSTILE = hostile_files()


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_a_bad_file_gets_its_own_error_and_stores_nothing(
    name, language, active_model, doctor, settings
):
    browser = signed_in(doctor)
    hostile = HOSTILE[name]
    response = browser.post(
        "/readings/new/",
        patient_details(submission=uuid.uuid4(), film=upload_of(hostile.data, "film.jpg")),
        headers={"accept-language": language},
    )
    assert response.status_code == 200
    errors = response.context["form"].errors.as_data()["film"]
    assert [error.code for error in errors] == [hostile.code]
    shown = response.context["form"].errors["film"][0]
    assert "%(" not in shown
    has_chinese = any("\u4e00" <= character <= "\u9fff" for character in shown)
    assert has_chinese == (language == "zh-hant")
    assert nothing_stored()


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_refusal_messages_are_distinct(language):
    with translation.override(language):
        sentences = {str(gettext_lazy(sentence)) for sentence in SENTENCES.values()}
    assert len(sentences) == len(SENTENCES)
    has_chinese = [any("\u4e00" <= letter <= "\u9fff" for letter in text) for text in sentences]
    assert all(has_chinese) if language == "zh-hant" else not any(has_chinese)


def test_the_kind_of_an_archive_is_translated(as_doctor):
    response = as_doctor.post(
        "/readings/new/inspect/",
        {"film": upload_of(HOSTILE["zip"].data)},
        headers={"accept-language": "zh-hant"},
    )
    assert "ZIP 壓縮檔" in response.json()["error"]


def test_predict_image_prints_the_sentence_that_a_doctor_sees(active_model, as_doctor, tmp_path):
    for name, hostile in HOSTILE.items():
        file = tmp_path / name
        file.write_bytes(hostile.data)
        result = read_one(file, None)
        answer = as_doctor.post("/readings/new/inspect/", {"film": upload_of(hostile.data)}).json()
        assert answer["error"] == result["error"]


def test_an_upload_over_the_limit_is_cut_off(active_model, as_doctor):
    response = post_film(as_doctor, b"\xff" * (settings.FILM_MAX_BYTES + 1))
    assert response.status_code == 200
    assert response.context["form"].errors["film"] == [
        "The file is larger than 64 MB. Export a smaller copy."
    ]
    assert nothing_stored()


def test_a_request_far_over_the_limit_is_not_read(active_model, as_doctor, monkeypatch):
    monkeypatch.setattr(settings, "FILM_MAX_BYTES", 1000)
    response = post_film(as_doctor, b"\xff" * 5000)
    assert response.context["form"].errors["film"][0].startswith("The file is larger than")
    assert nothing_stored()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("patient_name", "", "This field is required."),
        ("patient_age_years", "", "This field is required."),
        ("patient_age_years", "131", "Ensure this value is less than or equal to 130."),
        ("patient_age_years", "-1", "Ensure this value is greater than or equal to 0."),
        ("exam_date", "2999-01-01", "The exam date is in the future."),
        ("exam_date", "1800-01-01", "The exam date is before the year 1900."),
        ("exam_date", "yesterday", "Enter a valid date."),
        ("patient_name", "x" * 121, "Ensure this value has at most 120 characters (it has 121)."),
    ],
)
def test_invalid_patient_details(field, value, said, active_model, as_doctor, film_bytes):
    response = post_film(as_doctor, film_bytes, **{field: value})
    assert response.context["form"].errors[field] == [said]
    assert nothing_stored()


def test_a_dicom_header_fills_empty_fields(active_model, as_doctor):
    data = encode_dicom(
        synthetic_film("NORMAL", seed=1), patient_name="Wang^Xiao", patient_id="77", age="004Y"
    )
    response = post_film(as_doctor, data, patient_name="", patient_number="", patient_age_years="")
    assert response.status_code == 302, response.context["form"].errors
    reading = Reading.objects.get()
    assert reading.patient_name == "Wang Xiao"
    assert (reading.patient_number, reading.patient_age_years) == ("77", 4)


@pytest.mark.parametrize(
    ("format", "name"), [("jpeg", "film.dcm"), ("png", "film.jpg"), ("dicom", "film.png")]
)
def test_format_is_detected_from_the_content_not_the_name(format, name, active_model, as_doctor):
    pixels = synthetic_film("NORMAL", seed=1)
    data = (
        encode_dicom(pixels, patient_name="陳小明") if format == "dicom" else encode(pixels, format)
    )
    post_film(as_doctor, data, name)
    assert Reading.objects.get().film_format == format.upper()


def test_inspecting_a_film_stores_nothing(active_model, as_doctor):
    data = encode_dicom(synthetic_film("NORMAL", seed=1), patient_id="77", study_date="20260102")
    answer = as_doctor.post("/readings/new/inspect/", {"film": upload_of(data)}).json()
    assert answer["ok"] is True
    assert answer["format"] == "DICOM"
    assert answer["fields"]["patient_number"] == "77"
    assert answer["fields"]["exam_date"] == "2026-01-02"
    assert answer["preview"].startswith("data:image/jpeg;base64,")
    assert nothing_stored()


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_inspecting_an_invalid_file_gives_the_reason(name, as_doctor):
    response = as_doctor.post(
        "/readings/new/inspect/", {"film": upload_of(HOSTILE[name].data, "film.dcm")}
    )
    assert response.status_code == 422
    refused = post_film(as_doctor, HOSTILE[name].data)
    assert response.json()["error"] == refused.context["form"].errors["film"][0]


def test_a_form_sent_twice_redirects_to_the_same_reading(active_model, as_doctor, film_bytes):
    submission = str(uuid.uuid4())
    first = post_film(as_doctor, film_bytes, submission=submission)
    again = post_film(as_doctor, film_bytes, submission=submission)
    assert first.headers["Location"] == again.headers["Location"]
    assert Reading.objects.count() == 1


def test_another_doctors_submission_id_cannot_be_reused(
    active_model, as_doctor, as_other_doctor, film_bytes
):
    submission = str(uuid.uuid4())
    post_film(as_doctor, film_bytes, submission=submission)
    response = post_film(as_other_doctor, film_bytes, submission=submission)
    assert response.status_code == 200
    assert Reading.objects.count() == 1
    assert submission not in response.content.decode()


@pytest.mark.parametrize("code", ["inactive", "missing", "damaged", "invalid_output", "timeout"])
def test_without_a_valid_prediction_there_is_no_reading(
    code, active_model, as_doctor, film_bytes, monkeypatch
):
    def unavailable(*args, **kwargs):
        raise inference.ModelUnavailable(code)

    monkeypatch.setattr(inference, "predict", unavailable)
    response = post_film(as_doctor, film_bytes)
    assert response.status_code == 503
    assert response.templates[0].name == "diagnosis/model_unavailable.html"
    assert nothing_stored()


def test_no_reading_is_stored_without_a_model(db, as_doctor, film_bytes):
    response = post_film(as_doctor, film_bytes)
    assert response.status_code == 503
    assert "No model is active on this server." in response.content.decode()
    assert nothing_stored()


def test_new_reading_takes_few_queries(
    active_model, as_doctor, film_bytes, django_assert_max_num_queries
):
    post_film(as_doctor, film_bytes)
    other = encode(synthetic_film("NORMAL", seed=5), "png")
    # 8 find or make patient and study, 3 ask about teams, 2 about blind-first reading. PostgreSQL
    # locks the film by a query.
    most = 37 if connection.vendor == "postgresql" else 36
    with django_assert_max_num_queries(most):
        post_film(as_doctor, other)


def test_every_view_of_a_reading_is_audited(reading, as_doctor, doctor):
    for what in ("", "film/", "film/?size=thumb", "heatmap/", "report/"):
        assert as_doctor.get(f"/readings/{reading.pk}/{what}").status_code == 200
    rows = AuditEntry.objects.filter(
        object_pk=str(reading.pk), action=AuditEntry.Action.ACCESS
    ).order_by("pk")
    assert [row.what for row in rows] == [
        "page",
        "film",
        "thumbnail",
        "heatmap",
        "report",
    ]
    assert {row.actor for row in rows} == {doctor}
    assert {row.remote_addr for row in rows} == {"127.0.0.1"}


def test_an_ip_address_in_a_header_is_not_trusted(reading, as_doctor):
    as_doctor.get(f"/readings/{reading.pk}/", headers={"x-forwarded-for": "6.6.6.6"})
    assert not AuditEntry.objects.filter(remote_addr="6.6.6.6").exists()


def test_films_are_not_cached_and_sandboxed(reading, as_doctor):
    for address in ("film/", "heatmap/"):
        response = as_doctor.get(f"/readings/{reading.pk}/{address}")
        assert response.headers["Cache-Control"] == "private, no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]


def test_a_missing_film_gives_an_error(reading, as_doctor):
    storage.remove(file_names(reading.film_sha256))
    response = as_doctor.get(f"/readings/{reading.pk}/film/")
    assert response.status_code == 503
    assert "missing from the server's storage" in response.content.decode()


def test_a_film_out_of_scope_shows_no_result(active_model, as_doctor, film_bytes):
    response = post_film(as_doctor, film_bytes, patient_age_years=70)
    page = as_doctor.get(response.headers["Location"]).content.decode()
    main = page[page.index("<main") : page.index("</main>")]
    assert "age is outside the range that the model was validated on" in main
    result = main.split('id="own-reading"')[0]
    assert "PNEUMONIA" not in result
    assert "Probability" not in main
    assert "Declined by" in result


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(1.0, "> 0.999"), (0.9994, "0.999"), (0.5, "0.500"), (0.0006, "0.001"), (0.0, "< 0.001")],
)
def test_no_probability_is_rounded_to_certainty(probability, shown):
    reading = Reading(probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability})
    assert reading.probability_text == shown


def test_a_reading_looks_nothing_up_that_it_cannot_have(
    lenient_model, as_doctor, film_bytes, django_assert_max_num_queries
):
    """auditlog would look up the review, diagnosis and batch of the new row."""
    with django_assert_max_num_queries(36) as made:
        post_film(as_doctor, film_bytes, patient_number="8")
    assert Reading.objects.count() == 1
    looked_up = [each["sql"] for each in made.captured_queries if each["sql"].startswith("SELECT")]
    for table in ("diagnosis_review", "diagnosis_confirmeddiagnosis", "orders_orderfilm"):
        assert not [sql for sql in looked_up if f'FROM "{table}"' in sql]
