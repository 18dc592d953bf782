"""The audit log in the admin."""

import datetime
import re

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.audit.recording import record_access
from accounts.models import AuditEntry
from tests.conftest import settled, signed_in
from tests.factories import DoctorFactory, SupervisorFactory, UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/auditentry/"


def shown(page) -> list[str]:
    return [row.what for row in page.context["cl"].result_list]


def at(month: int, day: int = 5):
    """Travel to noon in Taipei on a day of 2026."""
    return time_machine.travel(datetime.datetime(2026, month, day, 4, tzinfo=datetime.UTC))


@pytest.fixture
def year_of_events(db):
    """One event per month of a year; return a supervisor's browser at its end."""
    with at(1, 1):
        doctor = DoctorFactory(email="d@example.org")
        supervisor = SupervisorFactory()
    for month in range(1, 12):
        with at(month):
            record_access(doctor, what="page" if month % 2 else "film", by=doctor)
    with at(11, 10):
        yield signed_in(supervisor)


def test_newest_event_comes_first_with_user_and_event(as_supervisor, doctor):
    record_access(doctor, what="film", by=doctor)
    page = as_supervisor.get(LIST)
    text = page.content.decode()
    assert shown(page)[0] == "film"
    assert doctor.email in text
    assert "viewed the X-ray" in text


def test_list_is_filtered_by_event(year_of_events):
    assert set(shown(year_of_events.get(LIST, {"what": "film"}))) == {"film"}


def test_list_is_searched_by_day_and_user(year_of_events):
    assert shown(year_of_events.get(LIST, {"q": "2026-03-05"}, follow=True)) == ["page"]
    assert shown(year_of_events.get(LIST, {"q": "2026-04-05 d@example.org"}, follow=True)) == [
        "film"
    ]
    assert shown(year_of_events.get(LIST, {"q": "2026-04-06"}, follow=True)) == []
    assert shown(year_of_events.get(LIST, {"q": "nobody@example.org"}, follow=True)) == []


@pytest.mark.parametrize(("since", "events"), [("1", 0), ("7", 1), ("31", 1), ("366", 11)])
def test_list_is_filtered_by_time(year_of_events, since, events):
    seen = [
        what
        for what in shown(year_of_events.get(LIST, {"since": since}))
        if what in {"page", "film"}
    ]
    assert len(seen) == events


@pytest.mark.parametrize(
    "query",
    [
        "", "?what=film", "?since=7", "?q=a%40example.org", "?q=10.0.0.1", "?q=1", "?q=2026-03-05",
        "?q=a%40example.org+10.0.0.1", "?p=2",
    ],
)  # fmt: skip
def test_every_query_of_the_list_uses_an_index(supervisor, query, django_assert_max_num_queries):
    for number in range(60):
        record_access(supervisor, what="film", by=UserFactory() if number < 3 else supervisor)
    browser = signed_in(supervisor)
    address = settled(browser, f"{LIST}{query}")
    # Four of them record the view; the header and the sidebar count what waits.
    with django_assert_max_num_queries(19), CaptureQueriesContext(connection) as seen:
        assert browser.get(address).status_code == 200
    asked = [entry["sql"] for entry in seen if '"accounts_auditentry"' in entry["sql"]]
    asked = [sql for sql in asked if sql.startswith("SELECT")]
    assert asked
    if connection.vendor != "sqlite":
        pytest.skip("The plan is read on SQLite only.")
    with connection.cursor() as cursor:
        for sql in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " | ".join(row[-1] for row in cursor.fetchall())
            if "SCAN accounts_auditentry" in plan:
                # Without a condition, rows are counted up to the bound, or read in index order.
                assert "WHERE" not in sql, (sql, plan)
                assert "LIMIT" in sql, (sql, plan)
                assert re.search("SCAN accounts_auditentry USING (COVERING )?INDEX", plan), plan
            # One object has few entries, and a page that is selected by its keys has few rows.
            if '"object_pk" =' not in sql and '."id" IN (' not in sql:
                assert "TEMP B-TREE" not in plan, (sql, plan)


def test_entry_shows_its_changes_and_its_seal(as_supervisor, supervisor, doctor):
    doctor.hospital = "臺大醫院"
    doctor.save()
    row = AuditEntry.objects.filter(what="changed").latest("sequence")
    text = as_supervisor.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "臺大醫院" in text
    assert "icon-yes" in text


def test_nobody_can_add_change_or_delete_entries(supervisor):
    root = UserFactory(is_staff=True, is_superuser=True)
    record_access(root, what="page", by=root)
    row = AuditEntry.objects.latest("sequence")
    for user in (root, supervisor):
        browser = signed_in(user)
        for address in ("add/", f"{row.pk}/delete/"):
            assert browser.get(f"{LIST}{address}").status_code == 403
            assert browser.post(f"{LIST}{address}", {"post": "yes"}).status_code == 403
        assert browser.post(f"{LIST}{row.pk}/change/", {"what": "x"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        browser.post(LIST, chosen)
    row.refresh_from_db()
    assert row.what == "page"
