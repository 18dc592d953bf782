"""Structured opinions: findings, drafts, first and signed opinions, addenda, diagnoses."""

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from diagnosis.models import ConfirmedDiagnosis, Opinion, OpinionDraft, Reading, Review
from tests.conftest import signed_in
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db

FULL = {
    "verdict": "PNEUMONIA",
    "confidence": "HIGH",
    "findings": ["consolidation", "effusion", "device"],
    "lobes": ["RLL", "LLL"],
    "side_effusion": "left",
    "text_device": "nasogastric   tube",
    "note": "air bronchogram",
}


@pytest.fixture
def made(active_model, doctor: User) -> Reading:
    return ReadingFactory(doctor=doctor, label="PNEUMONIA")


def send(browser: Client, reading: Reading, **fields: object) -> str:
    address = f"/readings/{reading.pk}/own-reading/"
    return browser.post(address, fields, follow=True).content.decode()


def test_findings_are_recorded_and_shown_everywhere(made, as_doctor, as_supervisor):
    page = send(as_doctor, made, **FULL)
    for words in (
        "Consolidation: Right lower, Left lower", "Pleural effusion: Left",
        "Tube, line or device (nasogastric tube)", "confidence: High", "air bronchogram",
    ):  # fmt: skip
        assert words in page
        assert words in as_doctor.get(f"/readings/{made.pk}/report/").content.decode()
        assert (
            words
            in as_supervisor.get(f"/admin/diagnosis/reading/{made.pk}/change/").content.decode()
        )
    stored = Opinion.objects.get()
    assert stored.findings[0] == {
        "code": "consolidation", "side": "both", "lobes": ["RLL", "LLL"], "text": ""
    }  # fmt: skip
    entry = AuditEntry.objects.get(what="opinion-signed")
    assert entry.changes_dict["findings"] == [
        "", "consolidation both RLL+LLL; effusion left; device (nasogastric tube)"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"verdict": "NORMAL", "findings": ["none", "effusion"]}, "excludes every other"),
        ({"verdict": "NORMAL", "findings": ["interstitial"]}, "an abnormal finding"),
        ({"verdict": "PNEUMONIA", "findings": ["none"]}, "pneumonia and “No abnormality”"),
        ({"verdict": "OTHER", "findings": ["other"]}, "Say what the other finding is"),
        ({"verdict": "OTHER", "findings": ["unicorn"]}, "not one of the available choices"),
    ],
)
def test_contradictions_are_refused_and_nothing_typed_is_lost(fields, message, made, as_doctor):
    page = send(as_doctor, made, note="a long thought", **fields)
    assert message in page
    assert "a long thought" in page
    assert not Opinion.objects.exists()


def test_a_draft_is_kept_for_its_doctor_only_until_it_is_signed(made, as_doctor, as_supervisor):
    script = {"X-Requested-With": "XMLHttpRequest"}
    address = f"/readings/{made.pk}/own-reading/"
    sent = FULL | {"draft": "1", "unknown": "x", "note": "not yet\0 sure"}
    assert as_doctor.post(address, sent, headers=script).status_code == 204
    page = as_doctor.get(f"/readings/{made.pk}/").content.decode()
    assert "not yet sure" in page
    assert "nasogastric" in page
    assert "not yet sure" not in as_supervisor.get(f"/readings/{made.pk}/").content.decode()
    assert not Review.objects.exists()
    assert "Your draft has been saved" in send(as_doctor, made, draft="1", note="other words")
    assert "other words" in as_doctor.get(f"/readings/{made.pk}/").content.decode()
    send(as_doctor, made, verdict="NORMAL", stage="SIGNED")
    assert not OpinionDraft.objects.exists()
    # A draft that was under way when the opinion was signed does not come back.
    late = as_doctor.post(address, FULL | {"draft": "1", "stage": "SIGNED"}, headers=script)
    assert late.status_code == 302
    assert not OpinionDraft.objects.exists()


def test_first_opinion_then_final_opinion_then_addendum(active_model, doctor, as_supervisor):
    doctor_browser = signed_in(doctor)
    reading = ReadingFactory(
        doctor=doctor, label="NORMAL", blind_first=True, withheld=True,
        probabilities={"NORMAL": 0.877, "PNEUMONIA": 0.123},
    )  # fmt: skip
    page = doctor_browser.get(f"/readings/{reading.pk}/").content.decode()
    assert "0.123" not in page
    assert "Save and show the model" in page
    early = {"value": "PNEUMONIA", "source": "IMAGING", "confirmed_on": "2026-01-05"}
    page = doctor_browser.post(f"/readings/{reading.pk}/diagnosis/", early, follow=True)
    assert "Record your own opinion first." in page.content.decode()
    page = send(doctor_browser, reading, stage="FIRST", **FULL)
    assert "0.123" in page
    assert "differs from the model" in page
    assert "Sign final opinion" in page
    # The same form again, from another tab, is not taken for the final opinion.
    page = send(doctor_browser, reading, stage="FIRST", **FULL)
    assert "had already been recorded" in page
    review = Review.objects.get()
    assert (review.verdict, review.is_signed) == ("PNEUMONIA", False)
    report = doctor_browser.get(f"/readings/{reading.pk}/report/").content.decode()
    assert "Signed electronically" not in report
    # One click keeps the opinion: the form is filled with it.
    form = doctor_browser.get(f"/readings/{reading.pk}/").context["opinion_form"]
    same = {name: form[name].value() for name in form.fields if form[name].value()}
    page = send(doctor_browser, reading, **same)
    assert "Your opinion has been signed." in page
    assert "X-rays without your opinion" in page
    page = send(doctor_browser, reading, stage="ADDENDUM", verdict="NORMAL", note="repeat film")
    assert "repeat film" in page
    opinions = list(Opinion.objects.all())
    assert [one.stage for one in opinions] == ["FIRST", "SIGNED", "ADDENDUM"]
    assert opinions[0].findings == opinions[1].findings
    assert [one.verdict for one in opinions] == ["PNEUMONIA", "PNEUMONIA", "NORMAL"]
    assert opinions[0].seconds is not None
    record = as_supervisor.get(f"/admin/diagnosis/reading/{reading.pk}/change/").content.decode()
    for words in ("First opinion, before the model", "Signed opinion", "Addendum", "repeat film"):
        assert words in record


def test_a_confirmed_diagnosis_is_recorded_with_its_source_and_audited(
    made, as_doctor, as_supervisor, as_other_doctor
):
    address = f"/readings/{made.pk}/diagnosis/"
    sent = {"value": "PNEUMONIA", "source": "MICROBIOLOGY", "confirmed_on": "2026-01-05"}
    page = as_doctor.post(address, sent | {"detail": "S. pneumoniae"}, follow=True)
    assert "Culture, PCR or antigen test" in page.content.decode()
    assert as_other_doctor.post(address, sent).status_code == 404
    page = as_supervisor.post(address, sent | {"value": "OTHER"}, follow=True).content.decode()
    assert "Other disease, no pneumonia" in page
    future = as_doctor.post(address, sent | {"confirmed_on": "2999-01-01"}).content.decode()
    assert "The date is in the future." in future
    assert ConfirmedDiagnosis.objects.get().value == "OTHER"
    changes = [
        row.changes_dict["value"]
        for row in AuditEntry.objects.filter(what="diagnosis-confirmed").order_by("sequence")
    ]
    assert changes == [["", "PNEUMONIA"], ["PNEUMONIA", "OTHER"]]
