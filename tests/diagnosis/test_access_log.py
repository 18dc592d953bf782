"""The access log of a patient for supervisors, and the list of viewers for doctors."""

import csv
import io
import re
import uuid

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.audit.recording import record_access
from accounts.audit.verify import verify_log
from accounts.models import AuditEntry, AuditMention
from diagnosis import access_log, retention
from tests.conftest import settled, signed_in
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
    with django_assert_max_num_queries(32):
        page = as_supervisor.get(ADDRESS, {"q": "陳小明"}, follow=True)
    assert {(row[0], row[2]) for row in visits_of(page)} == {
        (doctor.email, 61),
        (seen[1].doctor.email, 1),
        ("", 2),
    }, "one visit of each doctor; the fixture made the readings without an account"


def test_a_doctor_sees_who_else_viewed_a_reading(seen, doctor, supervisor, as_supervisor):
    as_doctor = signed_in(doctor)
    address = f"/readings/{seen[0].pk}/"
    assert supervisor.display_name not in as_doctor.get(address).content.decode()
    as_supervisor.get(address)
    page = as_doctor.get(address).content.decode()
    assert supervisor.display_name in page
    assert "Others who viewed this reading" in page


def at(time: str):
    """Travel to a time of a later day, because rows are in the order of their times."""
    return time_machine.travel(f"2030-03-05T{time}:00+00:00", tick=False)


def visits_of(page) -> list[tuple[str, str, int]]:
    """Return person, patient and number of events of each visit on a page."""
    shown = [line["visit"] for line in page.context["shown"]]
    return [(visit.person.email, visit.patient.name, len(visit.events)) for visit in shown]


def test_a_visit_ends_after_thirty_minutes(seen, doctor, other_doctor):
    first, second, _third = seen
    for time in ("04:00", "04:01", "04:29", "04:59", "05:31"):
        with at(time):
            record_access(first, what="film", by=doctor)
            if time == "04:29":
                record_access(second, what="film", by=other_doctor)
    found = access_log.about_readings([str(first.pk), str(second.pk)])
    visits, is_cut = access_log.visits(found, by=doctor)
    later = [(visit.person.email, len(visit.events)) for visit in visits if visit.last.year == 2030]
    assert later == [(doctor.email, 1), (doctor.email, 4), (other_doctor.email, 1)]
    assert not is_cut


def test_many_events_of_a_visit_are_one_expandable_row(as_supervisor, seen, doctor):
    for _ in range(441):
        record_access(seen[0], what="heatmap", by=doctor)
    page = as_supervisor.get(ADDRESS, {"q": "陳小明"}, follow=True)
    mine = [row for row in visits_of(page) if row[0] == doctor.email]
    assert mine == [(doctor.email, "陳小明", 442)]
    text = page.content.decode().split('id="result_list"')[1]
    assert "viewed the heatmap ×441" in text
    assert text.count("<summary>") == len(page.context["shown"])


def test_every_list_counts_as_having_seen_its_patients(seen, doctor, supervisor, as_supervisor):
    as_doctor = signed_in(doctor)
    own = str(seen[0].pk)
    before = AuditEntry.objects.filter(what="list").count()
    as_doctor.get("/")
    as_doctor.get("/readings/")
    assert AuditEntry.objects.filter(what="list").count() == before + 2
    as_supervisor.get("/admin/diagnosis/reading/")
    as_supervisor.get("/admin/diagnosis/reading/", {"q": "陳"}, follow=True)
    b"".join(as_supervisor.get("/admin/diagnosis/reading/export/").streaming_content)
    as_supervisor.get(ADDRESS, {"q": "A1"}, follow=True)
    page = as_supervisor.get(ADDRESS, {"q": "A1"}, follow=True)
    whats = {
        (visit.person.email, event.what)
        for visit in (line["visit"] for line in page.context["shown"])
        for event in visit.events
        if own in event.readings
    }
    assert whats >= {
        (doctor.email, "list"),
        (supervisor.email, "admin list"),
        (supervisor.email, "exported-readings"),
        (supervisor.email, "access-searched"),
    }
    assert supervisor.display_name in as_doctor.get(f"/readings/{own}/").content.decode()
    for line in page.context["shown"]:
        numbers = [event.sequence for event in line["visit"].events]
        assert numbers == sorted(numbers, reverse=True)
    assert list(verify_log()) == []


def test_thumbnails_of_a_list_are_in_its_row(reading, as_doctor, as_supervisor, supervisor):
    film = f"/readings/{reading.pk}/film/?size=thumb"
    as_doctor.get("/readings/")
    for _ in range(3):
        assert as_doctor.get(film).status_code == 200
    assert not AuditEntry.objects.filter(what="thumbnail").exists()
    as_supervisor.get(film)
    assert AuditEntry.objects.get(what="thumbnail").actor == supervisor, "shown by no list"


def test_a_supervisor_sees_what_a_person_saw(supervisor, seen, doctor):
    signed_in(doctor).get("/readings/")
    today = timezone.localdate().isoformat()
    with at("04:00"):
        record_access(seen[2], what="film", by=doctor)
        as_supervisor = signed_in(supervisor)
        page = as_supervisor.get(ADDRESS, {"person": doctor.email})
        assert visits_of(page) == [(doctor.email, "Wu", 1)]
        assert "陳小明" not in page.content.decode()
        earlier = {"person": doctor.email, "start": today, "end": today}
        page = as_supervisor.get(ADDRESS, earlier)
    assert visits_of(page) == [(doctor.email, "陳小明", 2)], "viewed and listed"
    row = AuditEntry.objects.filter(what="access-searched").latest("sequence")
    assert doctor.email in row.object_repr


def test_an_unclear_name_asks_which_account(as_supervisor, seen, doctor, other_doctor):
    other_doctor.display_name = "王怡君二"
    other_doctor.save()
    page = as_supervisor.get(ADDRESS, {"person": "王怡君"}).content.decode()
    assert "Several accounts match" in page
    assert doctor.email in page
    assert other_doctor.email in page
    nobody = as_supervisor.get(ADDRESS, {"person": "nobody"}).content.decode()
    assert "No account matches" in nobody
    assert as_supervisor.get(ADDRESS, {"person": "王", "start": "x"}).status_code == 200


def test_purged_readings_keep_their_patients_name(as_supervisor, supervisor, seen, doctor):
    retention.hide_reading(doctor=doctor, reading_id=seen[0].pk, reason="MISTAKE")
    retention.purge_reading(supervisor=supervisor, reading_id=seen[0].pk, reason="r")
    page = as_supervisor.get(ADDRESS, {"person": doctor.email})
    assert {row[1] for row in visits_of(page)} == {"陳小明"}
    assert "not stored" in page.content.decode()


def test_probing_anothers_reading_is_recorded_and_not_told_apart(
    seen, as_doctor, doctor, as_supervisor, as_ml_engineer
):
    theirs, nobodys = seen[1].pk, uuid.uuid4()
    answers = []
    for key in (theirs, nobodys):
        with CaptureQueriesContext(connection) as asked:
            response = as_doctor.get(f"/readings/{key}/")
        sql = [re.split(r"VALUES|WHERE|SET|SAVEPOINT", query["sql"])[0] for query in asked]
        page = re.sub(r'(token|value)="[^"]*"', "", response.content.decode())
        answers.append((response.status_code, page.replace(str(key), ""), sql))
    assert answers[0][0] == 404
    assert answers[0] == answers[1], "the same page by the same statements"
    rows = AuditEntry.objects.filter(what="access-denied")
    assert {row.object_pk for row in rows} == {str(theirs), str(nobodys)}
    for part in ("film/", "heatmap/", "report/", "edit/", "delete/", "share/"):
        assert as_doctor.get(f"/readings/{theirs}/{part}").status_code == 404
    assert as_doctor.post(f"/readings/{theirs}/undelete/").status_code == 404
    as_ml_engineer.get(f"/readings/{theirs}/edit/")
    assert rows.filter(object_pk=str(theirs)).count() == 9
    page = as_supervisor.get(ADDRESS, {"q": "陳小明"}, follow=True).content.decode()
    assert "was refused access to the reading" in page
    assert doctor.display_name not in [
        person["name"] for person in access_log.others_who_viewed(seen[1])
    ]


def test_the_selection_to_purge_is_on_record(as_supervisor, supervisor, seen, doctor):
    retention.hide_reading(doctor=doctor, reading_id=seen[0].pk, reason="MISTAKE")
    chosen = {"action": "purge_selected", "_selected_action": [seen[0].pk]}
    as_supervisor.post("/admin/diagnosis/reading/", chosen)
    row = AuditEntry.objects.get(what="purge-selection")
    assert (row.actor, row.shown_keys) == (supervisor, [str(seen[0].pk)])


def test_viewing_an_audit_entry_counts_as_seeing_its_patient(as_supervisor, supervisor, seen):
    entry = AuditEntry.objects.filter(what="created", object_pk=str(seen[0].pk)).get()
    assert as_supervisor.get(f"/admin/accounts/auditentry/{entry.pk}/change/").status_code == 200
    row = AuditEntry.objects.get(what="audit-entry")
    assert (row.actor, row.object_pk) == (supervisor, str(seen[0].pk))
    assert row.additional_data["entry"] == entry.sequence
    page = as_supervisor.get(ADDRESS, {"q": "陳小明"}, follow=True).content.decode()
    assert "viewed an audit log entry" in page


def test_a_page_of_the_audit_log_is_on_record(as_supervisor, supervisor, seen):
    newest = AuditEntry.objects.order_by("sequence").last().sequence
    as_supervisor.get("/admin/accounts/auditentry/")
    row = AuditEntry.objects.get(what="audit-list")
    assert row.actor == supervisor
    first, last = map(int, row.additional_data["entries"].split("-"))
    assert 0 < first <= newest <= last < row.sequence
    as_supervisor.get("/admin/accounts/auditentry/", {"q": "nobody@example.org"}, follow=True)
    empty = AuditEntry.objects.filter(what="audit-list").latest("sequence")
    assert empty.additional_data is None


@pytest.mark.parametrize("page", ["edit", "delete", "share"])
def test_pages_that_show_the_patients_name_are_on_record(page, seen, as_doctor, doctor, board):
    assert as_doctor.get(f"/readings/{seen[0].pk}/{page}/").status_code == 200
    row = AuditEntry.objects.get(what=f"{page}-page")
    assert (row.actor, row.object_pk) == (doctor, str(seen[0].pk))


def test_searches_of_the_log_use_its_indexes(seen, doctor):
    found = access_log.about_readings([str(seen[0].pk)])
    if connection.vendor != "sqlite":
        pytest.skip("The plan is read on SQLite only.")
    with CaptureQueriesContext(connection) as asked:
        access_log.visits(found, by=doctor)
        access_log.was_listed(seen[0], to=doctor)
        access_log.others_who_viewed(seen[0])
    with connection.cursor() as cursor:
        for query in asked:
            if not query["sql"].startswith("SELECT"):
                continue
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = " | ".join(row[-1] for row in cursor.fetchall())
            assert "SCAN accounts_audit" not in plan, (query["sql"], plan)


def test_a_changed_index_is_detected(seen, as_supervisor):
    as_supervisor.get("/admin/diagnosis/reading/")
    assert list(verify_log()) == []
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_auditmention")
    (sentence,) = verify_log()
    assert "is indexed under other objects" in sentence
    mention = AuditMention(entry=AuditEntry.objects.first(), object_pk="x")
    with pytest.raises(Exception, match="audit log"):
        mention.save()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="NOT TESTED: plans of another database")
def test_a_patient_is_found_without_walking_through_the_log(as_supervisor, seen):
    address = settled(as_supervisor, f"{ADDRESS}?q=陳小明")
    with CaptureQueriesContext(connection) as captured:
        assert as_supervisor.get(address).status_code == 200
    plans = []
    for query in captured.captured_queries:
        if query["sql"].startswith("SELECT") and "accounts_audit" in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN QUERY PLAN " + query["sql"].replace("%", "%%"))
                plans.append([row[3] for row in cursor.fetchall()])
    text = str(plans)
    for index in (
        "(audit_object|accounts_auditentry_object_pk)",
        "audit_mention_object",
        "audit_what",
    ):
        assert re.search(f"INDEX {index}", text), text
    # The index of all rows about readings, which is almost the whole log.
    assert "audit_kind" not in text
    assert not re.search(r"SCAN accounts_audit(entry|mention)(?! USING)", text), text
