"""What a doctor saw stays: one rule on page, report, admin and export, stored with the reading."""

import csv
import importlib
import re

import pytest
from django.apps import apps

from diagnosis.models import Label, Reading
from mlcore.engine.data.population import NOT_STATED
from mlcore.models import ModelVersion
from tests.conftest import patient_details, post_film
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db
SENTENCE = "Below 0.509: normal. 0.951 or above: pneumonia. Between: inconclusive."
RANKING = "0.736"


def text_of(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


@pytest.fixture
def unsure(lenient_model, as_doctor, doctor, film_bytes) -> Reading:
    """An inconclusive reading with a probability between the limits and below the threshold."""
    assert post_film(as_doctor, film_bytes).status_code == 302
    Reading.objects.update(
        label=Label.UNSURE,
        probabilities={"NORMAL": 0.43, "PNEUMONIA": 0.57},
        probability_shown="0.570",
    )
    return Reading.objects.get()


def test_a_new_reading_keeps_the_decision(lenient_model, as_doctor, film_bytes):
    post_film(as_doctor, film_bytes)
    reading = Reading.objects.get()
    band = lenient_model.card["conformal"]
    assert reading.limits == (band["lower"], band["upper"])
    assert reading.rule == "three-valued-1"
    assert reading.probability_shown == f"{reading.probability:.3f}" or (
        reading.probability_shown in {"> 0.999", "< 0.001"}
    )


def test_one_rule_on_page_report_and_card(unsure, as_doctor):
    page = text_of(as_doctor.get(unsure.get_absolute_url()))
    report = text_of(as_doctor.get(f"/readings/{unsure.pk}/report/"))
    card = text_of(as_doctor.get("/models/pneumonia-2/"))
    for text in (page, report, card):
        assert SENTENCE in text
    assert RANKING not in page
    assert RANKING not in report
    assert "0.570 Probability of pneumonia" in report
    assert "Inconclusive is not a negative result" in report
    assert "No X-ray is read at it" in card
    assert "or more is classified as pneumonia" not in card


def test_the_figures_beside_a_result_are_those_of_the_rule(unsure, as_doctor):
    page = text_of(as_doctor.get(unsure.get_absolute_url()))
    assert "With pneumonia n = 392 91.6% 88.4–93.9% 5.9% 3.9–8.7% 2.6% 1.4–4.6%" in page
    assert "Without pneumonia n = 135 0.7% 0.1–4.1% 4.4% 2.1–9.4% 94.8% 89.7–97.5%" in page
    assert "Validation set" not in page, "the limits were fitted on it"


def test_the_report_prints_what_was_stored_whatever_the_card_says(unsure, as_doctor):
    Reading.objects.update(normal_below=0.3, pneumonia_from=0.9, probability_shown="0.5700")
    report = text_of(as_doctor.get(f"/readings/{unsure.pk}/report/"))
    assert "Below 0.300: normal. 0.900 or above: pneumonia." in report
    assert "0.5700 Probability of pneumonia" in report


def test_export_and_admin_name_the_ranking_threshold(unsure, as_supervisor):
    response = as_supervisor.get("/admin/diagnosis/reading/export/")
    content = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.reader(content.splitlines()))
    row = dict(zip(rows[0], rows[1], strict=True))
    assert "threshold" not in row
    assert row["ranking_threshold"].startswith("0.7359")
    assert row["normal_below"].startswith("0.509")
    assert row["pneumonia_from"].startswith("0.951")
    assert row["rule"] == "three-valued-1"
    page = text_of(as_supervisor.get(f"/admin/diagnosis/reading/{unsure.pk}/change/"))
    assert SENTENCE in page
    assert "Ranking threshold" in page


@pytest.fixture
def orphan(lenient_model, doctor) -> Reading:
    """A reading of an earlier site, whose model's row was renewed by a later training."""
    return ReadingFactory(doctor=doctor, bundle_sha256="0" * 64, model_version=lenient_model)


def test_a_reading_shows_no_figures_of_another_bundle(orphan, as_doctor):
    page = text_of(as_doctor.get(orphan.get_absolute_url()))
    assert "is no longer registered, so its validation figures are not known" in page
    assert "The limits that decided are no longer known." in page
    assert "91.6%" not in page
    assert "0.509" not in page
    report = text_of(as_doctor.get(f"/readings/{orphan.pk}/report/"))
    assert "Rule of decision" not in report
    assert "Validated on" not in report


def reading_by(lenient_model, doctor, **population: object) -> Reading:
    """A reading by a model whose card states only some of its population."""
    stated = NOT_STATED | population
    version = ModelVersion.objects.create(
        name="unstated", bundle_sha256="1" * 64, path="none",
        card=lenient_model.card | {"population": stated},
    )  # fmt: skip
    return ReadingFactory(doctor=doctor, bundle_sha256="1" * 64, model_version=version)


def test_a_reading_says_if_the_population_is_not_stated(lenient_model, doctor, as_doctor):
    reading = reading_by(lenient_model, doctor)
    page = text_of(as_doctor.get(reading.get_absolute_url()))
    assert "The patients this model was validated on are not stated. On X-rays that" in page
    report = text_of(as_doctor.get(f"/readings/{reading.pk}/report/"))
    assert "The patients this model was validated on are not stated." in report
    for text in (page, report):
        assert "children aged" not in text


def test_a_reading_says_if_the_hospital_is_not_stated(lenient_model, doctor, as_doctor):
    reading = reading_by(lenient_model, doctor, age_years=[2, 4])
    page = text_of(as_doctor.get(reading.get_absolute_url()))
    assert "of children aged 2 to 4 (hospital not stated), on X-rays that" in page
    assert "aged 2 to 4." in text_of(as_doctor.get(f"/readings/{reading.pk}/report/"))


def test_the_age_of_such_a_reading_cannot_be_corrected_but_the_name_can(orphan, as_doctor):
    address = f"/readings/{orphan.pk}/edit/"
    same_age = patient_details(patient_name="新名", exam_date="2026-01-02")
    assert as_doctor.post(address, same_age).status_code == 302
    refused = as_doctor.post(address, same_age | {"patient_age_years": 40})
    assert "no longer known, so the result cannot be decided again" in refused.content.decode()
    orphan.refresh_from_db()
    assert (orphan.patient_name, orphan.patient_age_years) == ("新名", 3)
    assert orphan.label == Label.NORMAL


def test_a_corrected_age_stores_the_decision_that_is_now_shown(unsure, as_doctor):
    Reading.objects.update(probability_shown="", normal_below=None, pneumonia_from=None, rule="")
    as_doctor.post(f"/readings/{unsure.pk}/edit/", patient_details(patient_age_years=4))
    unsure.refresh_from_db()
    assert (unsure.label, unsure.probability_shown, unsure.rule) == (
        Label.UNSURE, "0.570", "three-valued-1",
    )  # fmt: skip


def test_the_migration_fills_in_what_is_known(lenient_model, orphan, doctor):
    known = ReadingFactory(doctor=doctor, model_version=lenient_model)
    importlib.import_module("diagnosis.migrations.0008_decision_shown").keep_decisions(apps, None)
    known.refresh_from_db()
    orphan.refresh_from_db()
    band = lenient_model.card["conformal"]
    assert known.limits == (band["lower"], band["upper"])
    assert (orphan.limits, orphan.rule) == (None, "")
    assert ModelVersion.objects.count() == 1
