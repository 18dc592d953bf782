"""The access log of a patient for supervisors, and the list of viewers for doctors."""

import csv
import io

import pytest

from accounts.audit.recording import record_access
from accounts.models import AuditEntry
from tests.conftest import signed_in
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db
ADDRESS = "/admin/who-saw/"


@pytest.fixture
def seen(active_model, doctor, other_doctor, supervisor):
    """Two readings of one patient and one of another, each viewed by its doctor."""
    readings = [
        ReadingFactory(doctor=doctor, patient_name="陳小明", patient_number="A1"),
        ReadingFactory(doctor=other_doctor, patient_name="陳小明", patient_number="A1"),
        ReadingFactory(doctor=other_doctor, patient_name="Wu", patient_number="B2"),
    ]
    for reading in readings:
        record_access(reading, what="film", by=reading.doctor)
    return readings


def table(response) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_a_supervisor_searches_the_access_log_of_a_patient(
    as_supervisor, seen, doctor, other_doctor
):
    page = as_supervisor.get(ADDRESS, {"q": "陳小明"}, follow=True).content.decode()
    for person in (doctor, other_doctor):
        assert person.email in page
    assert "viewed the X-ray" in page
    assert str(seen[2].pk)[:8] not in page


def test_the_csv_export_has_the_same_entries_and_is_audited(as_supervisor, seen, supervisor):
    rows = table(as_supervisor.get(ADDRESS, {"q": "A1", "format": "csv"}, follow=True))
    looked = [row for row in rows if row["Event"] == "viewed the X-ray"]
    assert {row["Reading"] for row in looked} == {str(seen[0].pk), str(seen[1].pk)}
    assert {row["Email"] for row in looked} == {seen[0].doctor.email, seen[1].doctor.email}
    row = AuditEntry.objects.get(what="exported")
    assert row.actor == supervisor
    assert row.object_repr == "patient access log: A1"
    assert row.additional_data["rows"] == len(rows)


def test_a_search_is_audited(as_supervisor, seen, supervisor):
    as_supervisor.get(ADDRESS, {"q": "陳小明"}, follow=True)
    row = AuditEntry.objects.get(what="access-searched")
    assert (row.actor, row.object_repr) == (supervisor, "patient access log: 陳小明")


def test_an_unknown_patient_gets_a_helpful_page(as_supervisor, seen):
    page = as_supervisor.get(ADDRESS, {"q": "nobody"}, follow=True).content.decode()
    assert "No stored or purged reading matches" in page


@pytest.mark.parametrize("person", ["doctor", "ml_engineer"])
def test_only_supervisors_search_the_access_log(person, request, seen):
    browser = signed_in(request.getfixturevalue(person))
    response = browser.post(ADDRESS, {"q": "陳小明", "send_search": "1"}, follow=person != "doctor")
    if person == "doctor":
        assert response.headers["Location"].startswith("/admin/login/?next=")
    else:
        assert response.status_code == 403
    assert "陳" not in response.content.decode()
    assert not AuditEntry.objects.filter(what="access-searched").exists()


def test_formulas_in_names_are_exported_as_text(as_supervisor, seen, doctor):
    doctor.display_name = "=HYPERLINK(1)"
    doctor.save()
    rows = table(as_supervisor.get(ADDRESS, {"q": "A1", "format": "csv"}, follow=True))
    names = {row["User"] for row in rows}
    assert "'=HYPERLINK(1)" in names
    assert "=HYPERLINK(1)" not in names


def test_the_number_of_queries_is_bounded(
    as_supervisor, seen, django_assert_max_num_queries, doctor
):
    for _ in range(60):
        record_access(seen[0], what="page", by=doctor)
    with django_assert_max_num_queries(25):
        page = as_supervisor.get(ADDRESS, {"q": "陳小明"}, follow=True)
    assert "Page 1 of 2" in page.content.decode()


def test_a_doctor_sees_who_else_viewed_a_reading(seen, doctor, supervisor, as_supervisor):
    as_doctor = signed_in(doctor)
    address = f"/readings/{seen[0].pk}/"
    assert supervisor.display_name not in as_doctor.get(address).content.decode()
    as_supervisor.get(address)
    page = as_doctor.get(address).content.decode()
    assert supervisor.display_name in page
    assert "Others who viewed this reading" in page
