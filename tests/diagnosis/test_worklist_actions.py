"""What a doctor does on the worklist: bulk actions, tags and saved views."""

import csv
import datetime
import io
import re
import zipfile

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis.models import Reading, SavedView, Tag, Team, TeamMembership
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db
LIST = "/readings/"


@pytest.fixture
def films(active_model, doctor) -> list[Reading]:
    return [ReadingFactory(doctor=doctor, patient_name=f"Child {n}") for n in range(4)]


@pytest.fixture
def foreign(active_model, other_doctor) -> Reading:
    return ReadingFactory(doctor=other_doctor, patient_name="Not mine")


def do(browser, action: str, readings=(), **sent):
    """Send a bulk action and return the page that follows."""
    keys = [reading.pk for reading in readings]
    data = {"action": action, "selected": keys} | sent
    return browser.post(f"{LIST}bulk/", data, follow=True)


def said(page) -> list[str]:
    return [str(message) for message in page.context["messages"]]


def shown(browser, query: str) -> set[str]:
    page = browser.get(f"{LIST}{query}", follow=True)
    return {reading.patient_name for reading in page.context["readings"]}


def test_tagging_with_a_new_tag_and_removing_it(films, foreign, as_doctor, doctor):
    page = do(as_doctor, "tag", [*films[:2], foreign], new_tag="Conference")
    assert said(page) == ["2 readings tagged: Conference"]
    tag = Tag.objects.get()
    assert foreign.taggings.count() == 0
    assert shown(as_doctor, f"?tag={tag.pk}") == {"Child 0", "Child 1"}
    assert "Conference" in as_doctor.get(LIST).content.decode()
    do(as_doctor, "tag", films, new_tag="CONFERENCE")
    assert (Tag.objects.count(), tag.taggings.count()) == (1, 4)
    assert said(do(as_doctor, "untag", films[:1], tag=tag.pk)) == [
        "Tag removed from 1 reading: Conference"
    ]
    shown_keys = {
        str(key) for entry in AuditEntry.objects.filter(what="tagged") for key in entry.shown_keys
    }
    assert shown_keys == {str(reading.pk) for reading in films}


def test_a_tag_that_names_a_patient_is_questioned(films, as_doctor):
    page = do(as_doctor, "tag", films[:1], new_tag="child 3 again")
    assert "is the name of a patient" in page.content.decode()
    assert not Tag.objects.exists()
    do(as_doctor, "tag", films[:1], new_tag="child 3 again", sure="1")
    assert Tag.objects.get().taggings.count() == 1
    page = as_doctor.post(f"{LIST}tags/", {"name": "Child 2"}, follow=True)
    assert "is the name of a patient" in page.content.decode()


def test_tags_are_renamed_recoloured_and_deleted_by_their_doctor(films, as_doctor, as_other_doctor):
    as_doctor.post(f"{LIST}tags/", {"name": "Rounds", "colour": "amber"})
    as_doctor.post(f"{LIST}tags/", {"name": "Other", "colour": "grey"})
    tag = Tag.objects.get(name="Rounds")
    address = f"{LIST}tags/{tag.pk}/"
    assert as_other_doctor.post(address, {"name": "Stolen", "colour": "red"}).status_code == 404
    as_doctor.post(address, {"name": "Ward rounds", "colour": "red"}, follow=True)
    tag.refresh_from_db()
    assert (tag.name, tag.colour) == ("Ward rounds", "red")
    page = as_doctor.post(address, {"name": "OTHER", "colour": "red"}, follow=True)
    assert said(page) == ["You use this name already."]
    do(as_doctor, "tag", films, tag=tag.pk)
    assert "4 readings" in as_doctor.get(f"{LIST}tags/").content.decode()
    as_doctor.post(address, {"action": "delete"})
    assert Tag.objects.count() == 1
    assert Reading.objects.count() == 4


def test_everything_found_is_acted_on(films, doctor, as_doctor):
    ReadingFactory(doctor=doctor, patient_name="Another")
    as_doctor.get(f"{LIST}?q=child", follow=True)
    assert said(do(as_doctor, "tag", new_tag="All", all="1")) == ["4 readings tagged: All"]


def test_done_readings_stop_waiting_until_they_are_put_back(films, as_doctor):
    do(as_doctor, "done", films[:3])
    assert shown(as_doctor, "?state=waiting") == {"Child 3"}
    assert said(do(as_doctor, "put_back", films)) == ["3 readings are waiting again."]
    assert len(shown(as_doctor, "?state=waiting")) == 4


def test_an_export_has_the_selected_readings_and_is_on_record(films, foreign, as_doctor):
    Reading.objects.filter(pk=films[0].pk).update(patient_name="=1+1")
    sent = {"action": "export", "selected": [films[0].pk, films[1].pk, foreign.pk]}
    response = as_doctor.post(f"{LIST}bulk/", sent)
    rows = list(csv.DictReader(io.StringIO(b"".join(response).decode("utf-8-sig"))))
    assert {row["patient_name"] for row in rows} == {"'=1+1", "Child 1"}
    assert rows[0]["result"] == "NORMAL"
    entry = AuditEntry.objects.get(what="exported-readings")
    assert set(entry.shown_keys) == {str(films[0].pk), str(films[1].pk)}


def test_reports_of_the_selected_readings_come_as_a_zip(films, foreign, as_doctor):
    sent = {"action": "reports", "selected": [films[0].pk, films[1].pk, foreign.pk]}
    response = as_doctor.post(f"{LIST}bulk/", sent)
    names = zipfile.ZipFile(io.BytesIO(b"".join(response))).namelist()
    wanted = {f"report-{each.exam_date:%Y%m%d}-{str(each.pk)[:8]}.pdf" for each in films[:2]}
    assert set(names) == wanted


def test_deleting_asks_first_and_is_undone_at_once(films, foreign, as_doctor):
    chosen = [*films[:3], foreign]
    page = do(as_doctor, "delete", chosen)
    text = page.content.decode()
    assert "Delete 3 readings?" in text
    assert "Not mine" not in text
    assert Reading.objects.filter(hidden_at__isnull=False).count() == 0
    page = do(as_doctor, "delete", chosen, sure="1", reason="MISTAKE")
    assert said(page) == ["3 readings deleted."]
    assert shown(as_doctor, "") == {"Child 3"}
    undo = re.search(r'action="(/readings/bulk/undo/\d+/)"', page.content.decode())
    assert undo is not None
    page = as_doctor.post(undo[1], follow=True)
    assert said(page) == ["3 readings restored."]
    assert len(shown(as_doctor, "")) == 4
    assert said(as_doctor.post(undo[1], follow=True)) == ["These readings are restored already."]
    assert AuditEntry.objects.filter(what="hidden").count() == 3


def test_undoing_too_late_changes_nothing(films, as_doctor, as_other_doctor):
    page = do(as_doctor, "delete", films, sure="1")
    undo = re.search(r'action="(/readings/bulk/undo/)(\d+)/"', page.content.decode())
    as_other_doctor.post(f"{undo[1]}{undo[2]}/")
    assert shown(as_doctor, "") == set()
    at = timezone.now() - datetime.timedelta(minutes=11)
    Reading.objects.update(hidden_at=at)
    micro = (at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(
        microseconds=1
    )
    page = as_doctor.post(f"{undo[1]}{micro}/", follow=True)
    assert "too late" in said(page)[0]
    assert shown(as_doctor, "") == set()


def test_nothing_selected_says_so(films, as_doctor):
    assert said(do(as_doctor, "delete")) == ["Select at least one reading, then choose what to do."]
    assert said(do(as_doctor, "nonsense", films)) == [
        "Select at least one reading, then choose what to do."
    ]


def test_a_saved_view_keeps_search_and_order_without_the_text_in_urls(
    films, doctor, as_doctor, as_other_doctor
):
    page = as_doctor.get(f"{LIST}?q=child+2&sort=-name", follow=True)
    saved = as_doctor.post(f"{LIST}views/", {"name": "Just her", "list": page.context["list_key"]})
    view = SavedView.objects.get()
    assert "child" not in saved.headers["Location"]
    opened = as_doctor.get(f"{LIST}views/{view.pk}/")
    assert "child" not in opened.headers["Location"]
    assert shown(as_doctor, f"views/{view.pk}/") == {"Child 2"}
    assert as_other_doctor.get(f"{LIST}views/{view.pk}/").status_code == 404
    as_doctor.post(f"{LIST}views/{view.pk}/", {"action": "first"})
    assert shown(as_doctor, "") == {"Child 2"}
    assert len(shown(as_doctor, "?view=all")) == 4
    as_doctor.post(f"{LIST}views/{view.pk}/", {"action": "rename", "name": "Her"})
    assert "Her" in as_doctor.get(f"{LIST}views/").content.decode()
    as_doctor.post(f"{LIST}views/{view.pk}/", {"action": "delete"})
    assert len(shown(as_doctor, "")) == 4
    entries = AuditEntry.objects.all()
    log = " ".join(f"{entry.additional_data} {entry.object_repr}" for entry in entries)
    assert "child 2" not in log.casefold()


def test_readings_of_a_team_are_assigned_and_found_by_the_assignee(
    films, doctor, other_doctor, as_doctor, as_other_doctor
):
    team = Team.objects.create(name="Ward 3")
    for member in (doctor, other_doctor):
        TeamMembership.objects.create(team=team, user=member)
    Reading.objects.filter(pk__in=[films[0].pk, films[1].pk]).update(team=team)
    page = do(as_doctor, "assign", films[:3], assignee=other_doctor.pk)
    assert said(page)[0] == "2 readings assigned."
    assert "1 reading is not shared" in said(page)[1]
    assert shown(as_other_doctor, "?scope=assigned") == {"Child 0", "Child 1"}
    assert shown(as_other_doctor, "") == set()
    assert shown(as_other_doctor, "?scope=team&q=child+1") == {"Child 1"}
    page = do(as_other_doctor, "delete", films[:1], sure="1")
    assert said(page) == ["Select at least one reading, then choose what to do."]
    do(as_other_doctor, "assign", films[:1])
    assert shown(as_other_doctor, "?scope=assigned") == {"Child 1"}
    TeamMembership.objects.filter(user=other_doctor).delete()
    assert shown(as_other_doctor, "?scope=team") == set()
    assert shown(as_other_doctor, "?scope=assigned") == set()
