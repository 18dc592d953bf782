"""Restoring and purging in the admin: with a confirmation and a reason, never by GET."""

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import retention, storage
from diagnosis.admin.retention import MAX_AT_ONCE
from diagnosis.models import Reading
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/diagnosis/reading/"


@pytest.fixture
def deleted(reading) -> Reading:
    """A reading with its film that its doctor deleted as a mistake."""
    retention.hide_reading(doctor=reading.doctor, reading_id=reading.pk, reason="MISTAKE")
    reading.refresh_from_db()
    return reading


def messages_of(response) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def test_deleted_reading_is_marked_in_list_and_page(deleted, as_supervisor):
    ReadingFactory(patient_name="Shown")
    assert "deleted by the doctor" in as_supervisor.get(LIST).content.decode()
    page = as_supervisor.get(f"{LIST}?hidden=yes").content.decode()
    assert deleted.patient_name in page
    assert "Shown" not in page
    page = as_supervisor.get(f"{LIST}{deleted.pk}/change/").content.decode()
    assert "Created by mistake: wrong patient or wrong X-ray" in page
    assert "It may be purged now" in page
    for verb in ("restore", "purge"):
        assert f"{LIST}{deleted.pk}/{verb}/" in page


def test_a_reading_that_is_not_deleted_can_be_neither_restored_nor_purged(reading, as_supervisor):
    page = as_supervisor.get(f"{LIST}{reading.pk}/change/").content.decode()
    for verb in ("restore", "purge"):
        address = f"{LIST}{reading.pk}/{verb}/"
        assert address not in page
        for ask in (as_supervisor.get, as_supervisor.post):
            response = ask(address, {"reason": "x"}, follow=True)
            assert messages_of(response) == "This reading is not deleted."
    assert Reading.objects.exists()


def test_restoring_asks_for_a_reason(deleted, as_supervisor, as_doctor, supervisor):
    address = f"{LIST}{deleted.pk}/restore/"
    assert deleted.patient_name in as_supervisor.get(address).content.decode()
    assert "This field is required" in as_supervisor.post(address).content.decode()
    assert Reading.objects.get().is_hidden
    response = as_supervisor.post(address, {"reason": "rang me up"}, follow=True)
    assert messages_of(response) == "The reading has been restored to its doctor."
    assert as_doctor.get(f"/readings/{deleted.pk}/").status_code == 200
    row = AuditEntry.objects.get(what="restored")
    assert (row.actor, row.additional_data["reason"]) == (supervisor, "rang me up")


def test_purging_asks_for_a_reason_and_removes_film_and_row(
    deleted, as_supervisor, supervisor, django_capture_on_commit_callbacks
):
    address = f"{LIST}{deleted.pk}/purge/"
    film = storage.original_name(deleted.film_sha256)
    assert "This cannot be undone" in as_supervisor.get(address).content.decode()
    assert "This field is required" in as_supervisor.post(address).content.decode()
    assert Reading.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        response = as_supervisor.post(address, {"reason": "wrong child"}, follow=True)
    assert messages_of(response) == "1 reading was purged."
    assert not Reading.objects.exists()
    assert not storages["films"].exists(film)
    row = AuditEntry.objects.get(what="purged")
    assert (row.actor, row.additional_data["reason"]) == (supervisor, "wrong child")
    assert as_supervisor.post(address, {"reason": "again"}).status_code == 404


def test_a_reading_within_its_retention_period_is_kept(reading, as_supervisor):
    retention.hide_reading(doctor=reading.doctor, reading_id=reading.pk, reason="NOT_NEEDED")
    address = f"{LIST}{reading.pk}/purge/"
    page = as_supervisor.get(address).content.decode()
    day = timezone.localtime(reading.created_at)
    assert f"It must be kept until {day:%-d %B} {day.year + 7}." in page
    assert 'name="reason"' not in page
    response = as_supervisor.post(address, {"reason": "insisting"}, follow=True)
    assert messages_of(response) == "1 reading cannot be purged and was kept."
    assert Reading.objects.exists()


def test_a_selection_shows_what_can_be_purged_first(deleted, as_supervisor):
    kept, shown = ReadingFactory.create_batch(2, doctor=deleted.doctor)
    retention.hide_reading(doctor=kept.doctor, reading_id=kept.pk, reason="NOT_NEEDED")
    keys = [deleted.pk, kept.pk, shown.pk]
    sent = {"action": "purge_selected", "_selected_action": keys}
    page = as_supervisor.post(LIST, sent).content.decode()
    assert "Permanently purge 1 reading" in page
    purging, keeping = page.split("These readings cannot be purged")
    assert deleted.patient_name in purging
    assert kept.patient_name in keeping
    assert "1 selected reading is not deleted and will be kept." in keeping
    assert shown.patient_name not in page
    assert str(shown.pk) not in page
    row = AuditEntry.objects.get(what="purge-selection")
    assert set(row.shown_keys) == {str(deleted.pk), str(kept.pk)}
    assert Reading.objects.count() == 3
    without = as_supervisor.post(LIST, sent | {"confirmed": "yes"})
    assert "This field is required" in without.content.decode()
    assert Reading.objects.count() == 3
    # Also if a forged form sends all of them.
    reason = {"confirmed": "yes", "reason": "tidying"}
    response = as_supervisor.post(LIST, sent | reason, follow=True)
    assert messages_of(response) == (
        "1 reading was purged. 2 readings cannot be purged and were kept."
    )
    assert set(Reading.objects.all()) == {kept, shown}


def test_a_selection_has_a_maximum(active_model, as_supervisor, doctor):
    readings = ReadingFactory.create_batch(MAX_AT_ONCE + 1, doctor=doctor)
    sent = {"action": "purge_selected", "_selected_action": [reading.pk for reading in readings]}
    response = as_supervisor.post(LIST, sent, follow=True)
    assert messages_of(response) == f"Select at most {MAX_AT_ONCE} readings at a time."


@pytest.mark.parametrize("verb", ["restore", "purge"])
def test_only_supervisors_restore_or_purge(verb, deleted, as_doctor, as_ml_engineer):
    address = f"{LIST}{deleted.pk}/{verb}/"
    for ask in (as_ml_engineer.get, as_ml_engineer.post):
        assert ask(address, {"reason": "x"}).status_code == 403
    assert as_doctor.post(address, {"reason": "x"}).status_code == 302
    assert Reading.objects.get().is_hidden


@pytest.mark.parametrize("verb", ["restore", "purge"])
def test_other_http_methods_are_refused(verb, deleted, as_supervisor):
    assert as_supervisor.put(f"{LIST}{deleted.pk}/{verb}/").status_code == 405
    assert as_supervisor.delete(f"{LIST}{deleted.pk}/{verb}/").status_code == 405
