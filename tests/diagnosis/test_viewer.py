"""What the viewer gets from the server: stored values, lung outline, other films of the patient."""

import datetime
import gzip
import io
import json
import re

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from PIL import Image

from accounts.models import AuditEntry, AuditMention
from diagnosis.models import Label, Patient, Reading, Study
from diagnosis.services import films
from diagnosis.services.priors import MAX_PRIORS, prior_films
from mlcore import inference
from mlcore.engine.films.film import read_plane
from mlcore.engine.serving import lungs
from tests.diagnosis.test_services import submit
from tests.factories import DoctorFactory, ReadingFactory
from tests.films import encode, encode_dicom, synthetic_film
from tests.mlcore.test_planes import unpacked

pytestmark = pytest.mark.django_db
FILM = synthetic_film("NORMAL", seed=1, size=160)


@pytest.fixture
def deep(active_model, doctor) -> Reading:
    """A reading of a 12-bit film."""
    data = encode_dicom(
        FILM, bits=12, photometric="MONOCHROME1", patient_name="陳小明", patient_id="A123",
        window=(2000, 3000),
    )  # fmt: skip
    return submit(doctor, data)


def pixels_of(reading: Reading) -> str:
    return f"/readings/{reading.pk}/pixels/"


# --- Stored values ---


def test_the_stored_values_are_sent_without_loss(deep, as_doctor):
    response = as_doctor.get(pixels_of(deep))
    assert response.status_code == 200
    assert response.headers["Content-Encoding"] == "gzip"
    header, tables, values = unpacked(response.content)
    expected = read_plane(films.original_film(deep))
    assert np.array_equal(values, expected.values)
    assert (header["width"], header["height"], header["bits"]) == (160, 160, 12)
    assert header["photometric"] == "MONOCHROME2"
    # The first window shows what the 8-bit picture shows.
    with Image.open(io.BytesIO(as_doctor.get(f"/readings/{deep.pk}/film/").content)) as jpeg:
        shown = np.asarray(jpeg).astype(int)
    assert np.abs(tables[0][values] - shown).mean() < 4, "but for JPEG's losses"


def test_an_eight_bit_picture_is_sent_without_loss(active_model, as_doctor, doctor):
    reading = submit(doctor, encode(FILM, "png"))
    _header, _tables, values = unpacked(as_doctor.get(pixels_of(reading)).content)
    assert np.array_equal(values, FILM)


def test_the_response_is_private_and_holds_nothing_of_patient_or_model(deep, as_doctor):
    Reading.objects.filter(pk=deep.pk).update(label=Label.PNEUMONIA)
    response = as_doctor.get(pixels_of(deep))
    assert "no-store" in response.headers["Cache-Control"]
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    content = gzip.decompress(response.content)
    for secret in ("陳小明", "A123", "PNEUMONIA", deep.model_name, deep.bundle_sha256[:12]):
        assert secret.encode() not in content
    header = json.loads(content[4 : 4 + int.from_bytes(content[:4], "little")])
    assert set(header) == {
        "width", "height", "bytes", "bits", "levels", "photometric", "exact", "slope", "intercept",
        "padding", "spacing", "tones",
    }  # fmt: skip


def test_access_is_recorded_and_others_are_refused(deep, as_doctor, as_other_doctor):
    as_doctor.get(pixels_of(deep))
    assert AuditEntry.objects.filter(what="pixels", object_pk=str(deep.pk)).count() == 1
    assert as_other_doctor.get(pixels_of(deep)).status_code == 404
    assert AuditEntry.objects.filter(what="pixels").count() == 1
    assert AuditEntry.objects.filter(what="access-denied").count() == 1


def test_a_film_beyond_the_limit_says_so(deep, as_doctor, monkeypatch):
    monkeypatch.setattr(films, "MAX_DEEP_PIXELS", 10_000)
    response = as_doctor.get(pixels_of(deep))
    assert response.status_code == 422
    assert "megapixels" in response.content.decode()
    assert not AuditEntry.objects.filter(what="pixels").exists()
    Reading.objects.filter(pk=deep.pk).update(film_width=9000, film_height=9000)
    page = as_doctor.get(f"/readings/{deep.pk}/").content.decode()
    assert pixels_of(deep) not in page, "the page does not even ask"


def test_a_missing_film_has_no_pixels(active_model, as_doctor, doctor):
    response = as_doctor.get(pixels_of(ReadingFactory(doctor=doctor)))
    assert response.status_code == 503
    assert response.headers["Content-Type"].startswith("text/plain")


# --- Overlays ---


def test_every_overlay_is_off_when_the_page_opens(deep, as_doctor):
    for label in (Label.PNEUMONIA, Label.OUT_OF_SCOPE):
        Reading.objects.filter(pk=deep.pk).update(label=label, scope_reasons=["picture"])
        page = as_doctor.get(f"/readings/{deep.pk}/").content.decode()
        switches = re.findall(r"<input[^>]*data-(?:heat|lungs|scope)-on[^>]*>", page)
        assert len(switches) == 2
        assert not any(re.search(r"\schecked", switch) for switch in switches)


def test_the_lungs_are_outlined_by_the_readings_own_model(deep, as_doctor, monkeypatch):
    Reading.objects.filter(pk=deep.pk).update(preprocessing_id=inference.LUNG_BOX)
    asked = []

    def found(film, *, model):
        asked.append((model.name, model.sha256, film.sha256))
        mask = np.zeros((lungs.SIDE, lungs.SIDE), np.uint8)
        mask[60:160, 40:100] = 255
        return mask

    monkeypatch.setattr(inference, "lung_mask", found)
    page = as_doctor.get(f"/readings/{deep.pk}/").content.decode()
    assert f"/readings/{deep.pk}/lungs/" in page
    response = as_doctor.get(f"/readings/{deep.pk}/lungs/")
    assert response.status_code == 200
    assert asked == [(deep.model_name, deep.bundle_sha256, deep.film_sha256)]
    line = np.asarray(Image.open(io.BytesIO(response.content)))[..., 3]
    scale = line.shape[0] / lungs.SIDE
    rows, columns = np.nonzero(line)
    box = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert np.allclose(box, np.multiply([40, 60, 100, 160], scale), atol=scale)
    assert line[round(110 * scale), round(70 * scale)] == 0, "a line, not an area"
    assert AuditEntry.objects.filter(what="lungs").count() == 1


def test_why_there_is_no_outline_is_said(deep, as_doctor):
    page = as_doctor.get(f"/readings/{deep.pk}/").content.decode()
    assert "the model reads the whole X-ray" in page
    assert f"/readings/{deep.pk}/lungs/" not in page
    Reading.objects.filter(pk=deep.pk).update(
        preprocessing_id=inference.LUNG_BOX, bundle_sha256="0" * 64
    )
    assert "no longer registered" in as_doctor.get(f"/readings/{deep.pk}/").content.decode()
    response = as_doctor.get(f"/readings/{deep.pk}/lungs/")
    assert response.status_code == 409
    assert "not available" in response.content.decode()


# --- Other films of the patient ---


def patients_reading(doctor, days: int = 0, **fields) -> Reading:
    day = datetime.date(2026, 1, 2) - datetime.timedelta(days=days)
    return ReadingFactory(doctor=doctor, exam_date=day, **fields)


def test_films_with_the_same_number_are_the_patients(active_model, doctor, other_doctor):
    same = {"patient_name": "陳小明", "patient_number": "A123"}
    reading = patients_reading(doctor, **same)
    month, year = patients_reading(doctor, 30, **same), patients_reading(doctor, 365, **same)
    later = patients_reading(doctor, -5, patient_name="陳曉明", patient_number="ａ123")
    patients_reading(doctor, 10, patient_name="陳小明", patient_number="")
    patients_reading(doctor, 10, patient_name="陳小明", patient_number="A124")
    patients_reading(other_doctor, 10, **same)
    patients_reading(doctor, 10, hidden_at="2026-01-03T00:00Z", **same)
    patients_reading(doctor, 10, film_sha256=reading.film_sha256, **same)
    assert prior_films(reading, doctor) == [later, month, year]


def test_without_a_number_the_name_decides(active_model, doctor):
    reading = patients_reading(doctor, patient_name="陳小明", patient_number="")
    earlier = patients_reading(doctor, 7, patient_name="陳小明", patient_number="")
    patients_reading(doctor, 7, patient_name="陳小明", patient_number="A123")
    patients_reading(doctor, 7, patient_name="林小明", patient_number="")
    assert prior_films(reading, doctor) == [earlier]


def test_the_patients_row_decides_whatever_was_written(active_model, doctor):
    patient = Patient.objects.create(name="陳小明", number="A123")
    study = Study.objects.create(patient=patient, exam_date="2026-01-02")
    reading = patients_reading(doctor, patient_number="A123", study=study)
    merged = patients_reading(doctor, 8, patient_number="Z9", study=study)
    patients_reading(doctor, 9, patient_number="A123")  # of another patient, by a supervisor
    unnumbered = patients_reading(doctor, 3, patient_name="林小美", patient_number="", study=study)
    same_name = patients_reading(doctor, 5, patient_name="林小美", patient_number="")
    assert prior_films(reading, doctor) == [unnumbered, merged]
    assert prior_films(unnumbered, doctor) == [reading, same_name, merged]


def test_a_supervisor_sees_the_patients_films_of_every_doctor(active_model, doctor, supervisor):
    reading = patients_reading(doctor, patient_number="A123")
    theirs = patients_reading(DoctorFactory(), 9, patient_number="A123")
    assert prior_films(reading, supervisor) == [theirs]
    assert prior_films(reading, doctor) == []


def test_the_page_names_dates_and_not_results_of_other_films(active_model, as_doctor, doctor):
    same = {"patient_name": "陳小明", "patient_number": "A123"}
    reading = patients_reading(doctor, **same)
    prior = patients_reading(doctor, 42, label=Label.PNEUMONIA, **same)
    page = as_doctor.get(f"/readings/{reading.pk}/").content.decode()
    (menu,) = re.findall(r"<ul data-priors>.*?</ul>", page, re.S)
    assert "42 days earlier" in menu
    assert f"/readings/{prior.pk}/film/" in menu
    assert "neumonia" not in menu
    listed = AuditMention.objects.filter(entry__what="priors")
    assert [each.object_pk for each in listed] == [str(prior.pk)]


def test_priors_cost_one_query_and_use_an_index(active_model, doctor):
    reading = patients_reading(doctor, patient_number="A123")
    for day in range(MAX_PRIORS + 3):
        patients_reading(doctor, day + 1, patient_number="A123")
    with CaptureQueriesContext(connection) as queries:
        assert len(prior_films(reading, doctor)) == MAX_PRIORS
    assert len([query for query in queries if "diagnosis_reading" in query["sql"]]) == 1
    if connection.vendor == "sqlite":
        for number in ("A123", ""):
            one = Reading(doctor=doctor, patient_number=number, patient_name="A")
            with CaptureQueriesContext(connection) as queries:
                prior_films(one, doctor)
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN QUERY PLAN " + queries[-1]["sql"])
                plan = " ".join(str(row[-1]) for row in cursor.fetchall())
            assert re.search("USING INDEX reading_(number_key|name_key|own_name) ", plan), plan


def test_any_film_can_be_found_to_compare_with(active_model, as_doctor, doctor, other_doctor):
    reading = patients_reading(doctor, patient_number="A123")
    found = patients_reading(doctor, 9, patient_name="林小美", patient_number="B9")
    theirs = patients_reading(other_doctor, 9, patient_name="林小美", patient_number="B9")
    address = f"/readings/{reading.pk}/other-films/"
    page = as_doctor.post(address, {"q": "林小"}).content.decode()
    assert f"/readings/{found.pk}/film/" in page
    assert str(theirs.pk) not in page
    assert str(reading.pk) not in page
    assert "No X-ray found" in as_doctor.post(address, {"q": "nobody"}).content.decode()
    listed = AuditMention.objects.filter(entry__what="other-films")
    assert [each.object_pk for each in listed] == [str(found.pk)]
