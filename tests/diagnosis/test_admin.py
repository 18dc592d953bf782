"""Supervisors see every reading in the admin and cannot change any."""

import datetime
import re

import pytest

from accounts.models import AuditEntry
from diagnosis import retention
from diagnosis.models import Label, Reading
from diagnosis.services import readings as services
from diagnosis.services.opinions import review_reading
from tests.factories import ReadingFactory

LIST = "/admin/diagnosis/reading/"


def test_the_list_has_every_doctors_readings_with_thumbnails(reading, as_supervisor, other_doctor):
    theirs = ReadingFactory(doctor=other_doctor, patient_name="Lin Mei")
    page = as_supervisor.get(LIST).content.decode()
    for shown in (reading, theirs):
        assert shown.patient_name in page
        assert f"/readings/{shown.pk}/film/?size=thumb" in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=lin+M", 1),
        ("?q=Lin  MEI", 1),
        ("?q=Mei", 0),
        ("?q=p0", 1),
        ("?q=%25", 0),
        ("?hidden=yes", 0),
        ("?hidden=no", 2),
        ("?agreement__exact=DISAGREE", 0),
        ("?age_scope__exact=OUTSIDE", 0),
        ("?age_scope__exact=INSIDE", 2),
        ("?exam_date__gte=2025-01-01&exam_date__lt=2027-01-01", 2),
        ("?exam_date__gte=2027-01-01", 0),
        ("?label__exact=PNEUMONIA", 1),
        ("?created_at__year=1999", 0),
    ],
)
def test_filters_and_search(query, expected, reading, as_supervisor):
    Reading.objects.update(label=Label.NORMAL, age_scope="INSIDE")
    ReadingFactory(patient_name="Lin Mei", label=Label.PNEUMONIA, patient_number="P007")
    assert as_supervisor.get(LIST + query, follow=True).context["cl"].result_count == expected


def test_the_result_cannot_be_changed(reading, as_supervisor):
    before = Reading.objects.values().get()
    address = f"{LIST}{reading.pk}/change/"
    page = as_supervisor.get(address).content.decode()
    assert 'name="label"' not in page
    assert as_supervisor.post(address, {"label": "NORMAL"}).status_code == 403
    assert as_supervisor.post(f"{LIST}{reading.pk}/delete/", {"post": "yes"}).status_code == 403
    assert as_supervisor.get(f"{LIST}add/").status_code == 403
    assert Reading.objects.values().get() == before


def test_a_supervisors_view_is_audited(reading, as_supervisor, supervisor):
    as_supervisor.get(f"{LIST}{reading.pk}/change/")
    row = AuditEntry.objects.filter(action=AuditEntry.Action.ACCESS, actor=supervisor).latest("pk")
    assert row.object_pk == str(reading.pk)
    assert row.what == "admin page"


def test_a_supervisor_cannot_edit_accounts_directly(as_supervisor, doctor):
    address = f"/admin/accounts/user/{doctor.pk}/change/"
    assert as_supervisor.get(address).status_code == 200
    assert as_supervisor.post(address, {"is_superuser": "on"}).status_code == 403


def record_of(browser, reading) -> str:
    page = browser.get(f"{LIST}{reading.pk}/change/").content.decode()
    return page.split('<div class="record">', 1)[1].split("record-raw", 1)[0]


def test_the_record_is_a_page_a_person_can_read(lenient_model, as_supervisor, doctor):
    reading = ReadingFactory(
        doctor=doctor, patient_name="陳小明", label=Label.PNEUMONIA, threshold=0.7359748265,
        probabilities={"NORMAL": 0.0312345678, "PNEUMONIA": 0.9687654322},
        scope_score=0.123456789, bundle_sha256=lenient_model.bundle_sha256,
    )  # fmt: skip
    review_reading(doctor=doctor, reading_id=reading.pk, verdict="NORMAL", note="clear")
    page = as_supervisor.get(f"{LIST}{reading.pk}/change/").content.decode()
    assert "陳小明" not in re.search(r"<title>.*?</title>", page, re.S)[0]
    assert re.search(r"<h1>\s*陳小明", page)
    text = record_of(as_supervisor, reading)
    for shown in ("Pneumonia", "0.969", "0.12 (limit: 1.00)", "Normal", "differs", "3 years"):
        assert shown in text
    assert "clear" in text
    assert f'src="/readings/{reading.pk}/film/"' in text
    words = re.sub(r'(href|src)="[^"]*"', "", text)
    assert str(reading.pk) not in words, "no UUID is shown"
    assert not re.search(r"\d\.\d{4,}|[{}]|&quot;|\[", words), "no JSON, no endless figures"
    assert not re.search(r"\d年|[ap]\.m\.", words)
    assert "0.9687654322" in page, "the exact values stay, in a closed section"
    assert re.search(r'<details class="module record-raw">', page)


def test_the_record_tells_the_history_in_words(
    active_model, as_doctor, doctor, as_supervisor, supervisor
):
    reading = ReadingFactory(doctor=doctor, patient_name="Wang", patient_age_years=3)
    services.edit_reading(
        doctor=doctor, reading_id=reading.pk,
        patient=services.PatientDetails(
            name="Wang Mei", age_years=40, exam_date=datetime.date(2026, 1, 3), number="P9"
        ),
    )  # fmt: skip
    review_reading(doctor=doctor, reading_id=reading.pk, verdict="CANNOT_TELL", note="?")
    as_doctor.get(f"/readings/{reading.pk}/")
    retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    retention.restore_reading(supervisor=supervisor, reading_id=reading.pk, reason="asked to")
    text = " ".join(record_of(as_supervisor, reading).split())
    for words in (
        "corrected the patient&#x27;s details", "<del>Wang</del> → Wang Mei",
        "<del>Normal</del> → Out of scope", "<del>2026-01-02</del> → 2026-01-03",
        "Cannot tell", "deleted the reading", "Created by mistake", "Reason: asked to",
        "restored the reading", "viewed the reading",
    ):  # fmt: skip
        assert words in text, words
    assert "OUT_OF_SCOPE" not in text
    assert "CANNOT_TELL" not in text
    assert "MISTAKE" not in text


def test_a_refused_view_of_the_record_is_audited(reading, as_ml_engineer, ml_engineer):
    assert as_ml_engineer.get(f"{LIST}{reading.pk}/change/").status_code == 403
    row = AuditEntry.objects.get(what="access-denied")
    assert (row.actor, row.object_pk) == (ml_engineer, str(reading.pk))
