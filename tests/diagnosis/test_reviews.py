"""The doctor's own reading of a film, and its agreement with the model's."""

import re

import pytest
from django.core.exceptions import ValidationError

from accounts.models import AuditEntry
from diagnosis import statistics
from diagnosis.models import Agreement, Label, Reading, Review
from diagnosis.models.opinion import WrittenOnceError
from diagnosis.services.opinions import review_reading
from tests.conftest import patient_details
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def pneumonia(active_model, doctor) -> Reading:
    return ReadingFactory(doctor=doctor, label=Label.PNEUMONIA)


def post_own_reading(
    browser, reading: Reading, verdict: str, note: str = "", *, follow: bool = False
):
    sent = {"verdict": verdict, "note": note}
    return browser.post(f"/readings/{reading.pk}/own-reading/", sent, follow=follow)


def test_no_verdict_is_preselected(pneumonia, as_doctor):
    page = as_doctor.get(f"/readings/{pneumonia.pk}/").content.decode()
    form = page[page.index('id="own-reading"') :].split("</section>")[0]
    assert form.count('name="verdict"') == 4
    assert " checked" not in form


def test_the_doctors_reading_is_shown_on_every_page(pneumonia, as_doctor, as_supervisor, doctor):
    response = post_own_reading(
        as_doctor, pneumonia, "NORMAL", "thymus, not\nconsolidation", follow=True
    )
    page = response.content.decode()
    assert "Your opinion has been signed." in page
    assert "thymus, not<br>consolidation" in page
    assert "differs from the model" in page
    assert doctor.display_name in page
    assert "thymus, not<br>" in as_doctor.get(f"/readings/{pneumonia.pk}/report/").content.decode()
    for address in ("/readings/", "/"):
        assert "You: Normal" in as_doctor.get(address).content.decode()
    page = as_supervisor.get(f"/readings/{pneumonia.pk}/").content.decode()
    assert "thymus, not<br>consolidation" in page
    assert "/own-reading/" not in page, "a supervisor cannot state one"


def test_every_change_of_the_doctors_reading_is_kept_and_audited(pneumonia, as_doctor, doctor):
    post_own_reading(as_doctor, pneumonia, "NORMAL")
    post_own_reading(as_doctor, pneumonia, "PNEUMONIA", "after a second look")
    own = Review.objects.get()
    assert (own.verdict, own.note) == ("PNEUMONIA", "after a second look")
    kept = [(one.stage, one.verdict) for one in pneumonia.opinions.all()]
    assert kept == [("SIGNED", "NORMAL"), ("ADDENDUM", "PNEUMONIA")]
    rows = AuditEntry.objects.filter(what__startswith="opinion-").order_by("sequence")
    assert [row.changes_dict for row in rows] == [
        {"verdict": ["", "NORMAL"]},
        {"verdict": ["NORMAL", "PNEUMONIA"], "note": ["", "after a second look"]},
    ]
    assert {row.object_pk for row in rows} == {str(pneumonia.pk)}
    assert {row.actor for row in rows} == {doctor}
    with pytest.raises(WrittenOnceError):
        pneumonia.opinions.update(verdict="OTHER")
    with pytest.raises(WrittenOnceError):
        pneumonia.opinions.first().save()
    # An addendum says why.
    page = post_own_reading(as_doctor, pneumonia, "OTHER").content.decode()
    assert "This field is required." in page


@pytest.mark.parametrize(
    ("label", "verdict", "expected"),
    [
        ("NORMAL", "NORMAL", Agreement.AGREE),
        ("NORMAL", "PNEUMONIA", Agreement.DISAGREE),
        ("PNEUMONIA", "NORMAL", Agreement.DISAGREE),
        ("PNEUMONIA", "OTHER", ""),
        ("NORMAL", "CANNOT_TELL", ""),
        ("UNSURE", "PNEUMONIA", ""),
        ("OUT_OF_SCOPE", "NORMAL", ""),
    ],
)
def test_agreement_compares_normal_and_pneumonia_only(
    label, verdict, expected, active_model, doctor
):
    reading = ReadingFactory(doctor=doctor, label=label)
    review_reading(doctor=doctor, reading_id=reading.pk, verdict=verdict)
    reading.refresh_from_db()
    assert reading.agreement == expected


def test_agreement_is_updated_when_a_corrected_age_changes_the_label(reading, as_doctor):
    Reading.objects.update(label=Label.NORMAL, scope_score=-1e9, scope_reasons=[])
    post_own_reading(as_doctor, reading, "PNEUMONIA")
    assert Reading.objects.get().agreement == Agreement.DISAGREE
    as_doctor.post(f"/readings/{reading.pk}/edit/", patient_details(patient_age_years=60))
    after = Reading.objects.get()
    assert (after.label, after.agreement) == (Label.OUT_OF_SCOPE, "")
    assert after.age_scope == "OUTSIDE"


@pytest.mark.parametrize("sent", [{}, {"verdict": "MAYBE"}, {"verdict": ""}])
def test_an_invalid_verdict_shows_an_error_and_keeps_the_note(sent, pneumonia, as_doctor):
    response = as_doctor.post(
        f"/readings/{pneumonia.pk}/own-reading/", sent | {"note": "a long thought"}
    )
    page = response.content.decode()
    assert 'role="alert"' in page
    assert "a long thought" in page
    assert not Review.objects.exists()


def test_a_note_has_a_maximum_length(pneumonia, as_doctor, doctor):
    assert (
        "at most 2000 characters"
        in post_own_reading(as_doctor, pneumonia, "OTHER", "x" * 2001).content.decode()
    )
    assert post_own_reading(as_doctor, pneumonia, "OTHER", "x" * 2000).status_code == 302
    with pytest.raises(ValidationError):
        Review(reading=pneumonia, doctor=doctor, verdict="OTHER", note="x" * 2001).full_clean()


def test_only_the_readings_doctor_reviews_it(
    pneumonia, as_doctor, as_other_doctor, as_supervisor, as_ml_engineer, doctor
):
    for somebody in (as_other_doctor, as_supervisor, as_ml_engineer):
        assert post_own_reading(somebody, pneumonia, "NORMAL").status_code == 404
    as_doctor.post(f"/readings/{pneumonia.pk}/delete/")
    assert post_own_reading(as_doctor, pneumonia, "NORMAL").status_code == 404
    assert as_doctor.get(f"/readings/{pneumonia.pk}/own-reading/").status_code == 404
    with pytest.raises(ValueError, match="MAYBE"):
        review_reading(doctor=doctor, reading_id=pneumonia.pk, verdict="MAYBE")
    assert not Review.objects.exists()


def test_a_note_is_escaped(pneumonia, as_doctor):
    post_own_reading(as_doctor, pneumonia, "OTHER", "<script>alert(1)</script>")
    for page in ("", "report/"):
        assert (
            "<script>alert"
            not in as_doctor.get(f"/readings/{pneumonia.pk}/{page}").content.decode()
        )


@pytest.mark.parametrize("label", ["UNSURE", "OUT_OF_SCOPE"])
def test_a_film_without_a_label_is_assessed_too(label, active_model, doctor, as_doctor):
    reading = ReadingFactory(doctor=doctor, label=label, scope_reasons=["picture"])
    page = as_doctor.get(f"/readings/{reading.pk}/").content.decode()
    assert "opinion-choices" in page
    assert "your assessment is the only one" in page
    page = post_own_reading(as_doctor, reading, "PNEUMONIA", follow=True).content.decode()
    assert "differs from the model" not in page
    report = as_doctor.get(f"/readings/{reading.pk}/report/").content.decode()
    assert "Pneumonia" in report.split('id="report-own"')[1]
    period = statistics.last_days()
    assert (period.assessed_n, period.assessed_percent, period.total.compared) == (1, 100, 0)
    assert period.assessed_without_label == 1


def test_a_history_is_filtered_by_assessment(active_model, doctor, as_doctor):
    names = {"NORMAL", "NORMAL PNEUMONIA", "OUT_OF_SCOPE PNEUMONIA", "PNEUMONIA PNEUMONIA"}
    for label, verdict in (
        ("NORMAL", ""),
        ("NORMAL", "PNEUMONIA"),
        ("OUT_OF_SCOPE", "PNEUMONIA"),
        ("PNEUMONIA", "PNEUMONIA"),
    ):
        name = f"{label} {verdict}".strip()
        reading = ReadingFactory(doctor=doctor, label=label, patient_name=name)
        if verdict:
            review_reading(doctor=doctor, reading_id=reading.pk, verdict=verdict)

    def found(own: str) -> set[str]:
        page = as_doctor.get("/readings/", {"own": own}).content.decode()
        return {name.strip() for name in re.findall(r"\n([^<>\n]*)</a>", page)} & names

    assert found("none") == {"NORMAL"}
    assert found("differs") == {"NORMAL PNEUMONIA"}
    all_three = {"NORMAL PNEUMONIA", "OUT_OF_SCOPE PNEUMONIA", "PNEUMONIA PNEUMONIA"}
    assert found("PNEUMONIA") == all_three
    assert found("OTHER") == set()
