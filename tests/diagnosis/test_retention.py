"""Soft deletion by doctors, restoring and purging by supervisors, orphaned files."""

import datetime
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import retention
from diagnosis.models import HidingReason, Reading
from diagnosis.services.films import original_film
from diagnosis.services.opinions import review_reading
from tests.conftest import post_film
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db

PAST = timezone.make_aware(datetime.datetime(2001, 2, 3))


def stored_files() -> list[str]:
    root = Path(storages["films"].base_location)
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def hidden(reading: Reading, reason: str = "NOT_NEEDED", **changes: object) -> Reading:
    """Return the reading, deleted by its doctor; `changes` bypass the services."""
    retention.hide_reading(doctor=reading.doctor, reading_id=reading.pk, reason=reason)
    if changes:
        Reading.objects.filter(pk=reading.pk).update(**changes)
    reading.refresh_from_db()
    return reading


def events(reading: Reading) -> list[str]:
    rows = AuditEntry.objects.filter(object_pk=str(reading.pk)).exclude(action=3)
    return list(rows.order_by("sequence").values_list("what", flat=True))


def test_deleted_readings_are_visible_to_supervisors_only(reading, as_doctor, as_supervisor):
    hidden(reading, "MISTAKE")
    for page in ("", "report/", "film/", "heatmap/", "edit/", "delete/"):
        assert as_doctor.get(f"/readings/{reading.pk}/{page}").status_code == 404
    for address in ("/", "/readings/"):
        assert "陳小明" not in as_doctor.get(address).content.decode()
    for page in ("", "report/"):
        shown = as_supervisor.get(f"/readings/{reading.pk}/{page}").content.decode()
        assert "This reading has been deleted." in shown
    assert as_supervisor.get(f"/readings/{reading.pk}/film/").status_code == 200
    assert stored_files() != []


def test_the_reason_defaults_to_the_longer_retention(reading, as_doctor):
    address = f"/readings/{reading.pk}/delete/"
    page = as_doctor.post(address, {"reason": "BECAUSE"}).content.decode()
    assert "BECAUSE is not one of the available choices" in page
    as_doctor.post(address, {"reason": "MISTAKE"})
    assert Reading.objects.get().hidden_reason == HidingReason.MISTAKE
    as_doctor.post(f"/readings/{reading.pk}/undelete/")
    as_doctor.post(address)
    assert Reading.objects.get().hidden_reason == HidingReason.NOT_NEEDED


def test_only_the_doctor_undoes_within_ten_minutes(
    reading, as_doctor, as_other_doctor, as_supervisor
):
    undo = f"/readings/{reading.pk}/undelete/"
    hidden(reading)
    assert as_doctor.get(undo).status_code == 405
    for somebody in (as_other_doctor, as_supervisor):
        assert somebody.post(undo).status_code == 404
    late = timezone.now() - datetime.timedelta(minutes=10, seconds=1)
    Reading.objects.update(hidden_at=late)
    response = as_doctor.post(undo, follow=True)
    assert "Ask a supervisor to restore the reading." in response.content.decode()
    assert Reading.objects.get().is_hidden
    Reading.objects.update(hidden_at=late + datetime.timedelta(seconds=5))
    as_doctor.post(undo)
    assert not Reading.objects.get().is_hidden
    assert events(reading) == ["created", "hidden", "restored"]


def test_a_supervisor_restores_with_a_reason(reading, as_doctor, supervisor):
    hidden(reading, "MISTAKE", hidden_at=PAST)
    retention.restore_reading(supervisor=supervisor, reading_id=reading.pk, reason="asked for")
    assert as_doctor.get(f"/readings/{reading.pk}/").status_code == 200
    row = AuditEntry.objects.get(what="restored")
    assert row.additional_data["reason"] == "asked for"
    assert row.changes_dict["hidden_reason"][0] == "MISTAKE"
    with pytest.raises(Reading.DoesNotExist):
        retention.restore_reading(supervisor=supervisor, reading_id=reading.pk, reason="again")


@pytest.mark.parametrize(
    ("reason", "years_ago", "allowed"),
    [
        ("MISTAKE", 0, True),
        ("NOT_NEEDED", 0, False),
        ("NOT_NEEDED", 6.99, False),
        ("NOT_NEEDED", 7.01, True),
        (None, 20, False),
    ],
)
def test_which_readings_may_be_purged(reason, years_ago, allowed, reading, supervisor):
    made = timezone.now() - datetime.timedelta(days=365.25 * years_ago)
    Reading.objects.update(created_at=made)
    reading.refresh_from_db()
    if reason:
        hidden(reading, reason)
    refused = retention.NotPurgeableError if reason else Reading.DoesNotExist
    if allowed:
        retention.purge_reading(supervisor=supervisor, reading_id=reading.pk, reason="due")
    else:
        with pytest.raises(refused):
            retention.purge_reading(supervisor=supervisor, reading_id=reading.pk, reason="due")
    assert Reading.objects.exists() is not allowed


def test_retention_years_sets_the_end_of_the_period(reading, settings):
    reading.created_at = timezone.make_aware(datetime.datetime(2024, 2, 29, 12))
    for years, end in ((1, "2025-03-01"), (4, "2028-02-29"), (25, "2049-03-01")):
        settings.RETENTION_YEARS = years
        assert retention.retention_ends(reading).date().isoformat() == end


def test_only_supervisors_can_restore_and_purge(reading, doctor, ml_engineer):
    hidden(reading, "MISTAKE")
    for person in (doctor, ml_engineer):
        for service in (retention.restore_reading, retention.purge_reading):
            with pytest.raises(PermissionDenied):
                service(supervisor=person, reading_id=reading.pk, reason="x")
    assert Reading.objects.get().is_hidden


def test_purging_removes_film_and_row_and_audits_their_content(
    reading, doctor, supervisor, django_capture_on_commit_callbacks
):
    review_reading(doctor=doctor, reading_id=reading.pk, verdict="NORMAL")
    hidden(reading, "MISTAKE")
    assert len(stored_files()) == 3
    with django_capture_on_commit_callbacks(execute=True):
        retention.purge_reading(supervisor=supervisor, reading_id=reading.pk, reason="wrong child")
    assert not Reading.objects.exists()
    assert stored_files() == []
    row = AuditEntry.objects.get(what="purged")
    assert row.object_pk == str(reading.pk)
    assert row.additional_data["reason"] == "wrong child"
    assert row.additional_data["own reading"] == "NORMAL"
    for field in ("patient_name", "patient_number", "film_sha256", "label", "hidden_reason"):
        assert row.changes_dict[field][0] == getattr(reading, field)
    assert "activation_map" not in row.changes_dict


def test_a_film_is_kept_while_another_reading_has_it(
    reading, as_other_doctor, other_doctor, supervisor, film_bytes,
    django_capture_on_commit_callbacks,
):  # fmt: skip
    assert post_film(as_other_doctor, film_bytes).status_code == 302
    second = Reading.objects.get(doctor=other_doctor)
    assert second.film_sha256 == reading.film_sha256
    for one, left in ((reading, 3), (second, 0)):
        hidden(one, "MISTAKE")
        with django_capture_on_commit_callbacks(execute=True):
            retention.purge_reading(supervisor=supervisor, reading_id=one.pk, reason="x")
        assert len(stored_files()) == left


def test_a_failed_purge_keeps_the_film(reading, supervisor, monkeypatch):
    hidden(reading, "MISTAKE")

    def fail(*args, **kwargs):
        raise RuntimeError("the log is full")

    monkeypatch.setattr(AuditEntry, "save", fail)
    with pytest.raises(RuntimeError, match="the log is full"):
        retention.purge_reading(supervisor=supervisor, reading_id=reading.pk, reason="x")
    assert Reading.objects.get().is_hidden
    assert original_film(reading)


def test_the_form_of_a_deleted_reading_cannot_be_reused(
    active_model, as_doctor, film_bytes, doctor
):
    import uuid

    submission = str(uuid.uuid4())
    post_film(as_doctor, film_bytes, submission=submission)
    as_doctor.post(f"/readings/{submission}/delete/")
    again = post_film(as_doctor, film_bytes, submission=submission)
    assert again.status_code == 200
    assert "This form has already been used" in again.content.decode()


def test_purge_readings_purges_only_expired_readings(
    active_model, doctor, capsys, django_capture_on_commit_callbacks
):
    due, mistake, shown = ReadingFactory.create_batch(3, doctor=doctor)
    hidden(due, created_at=PAST)
    hidden(mistake, "MISTAKE")
    Reading.objects.filter(pk=shown.pk).update(created_at=PAST)
    with pytest.raises(CommandError, match="--dry-run or --yes"):
        call_command("purge_readings")
    call_command("purge_readings", dry_run=True)
    assert str(due.pk) in capsys.readouterr().out
    assert Reading.objects.count() == 3
    with django_capture_on_commit_callbacks(execute=True):
        call_command("purge_readings", yes=True)
    assert set(Reading.objects.all()) == {mistake, shown}
    row = AuditEntry.objects.get(what="purged")
    assert row.additional_data["reason"] == "retention period over"
