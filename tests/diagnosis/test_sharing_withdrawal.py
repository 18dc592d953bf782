"""Withdrawing the image of a shared case."""

import uuid

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import board as boards
from diagnosis import retention
from diagnosis.models import Reading, SharedCase
from diagnosis.services import sharing
from tests.diagnosis.sharing import address, shared

pytestmark = pytest.mark.django_db


def test_deleting_the_reading_withdraws_every_image_permanently(reading, as_doctor, board):
    cases = {shared(as_doctor, reading).picture_id for _time in range(2)}
    for page in (address(reading, "delete/"), address(reading, "")):
        assert "withdraws the image immediately" in as_doctor.get(page).content.decode()
    for page in ("/", "/readings/"):
        assert "data-delete-is-shared" in as_doctor.get(page).content.decode()
    page = as_doctor.post(address(reading, "delete/"), follow=True).content.decode()
    assert "Its image on the discussion board has been withdrawn permanently." in page
    assert set(board.withdrawn) == cases
    assert not SharedCase.objects.filter(withdrawn_at__isnull=True).exists()
    assert AuditEntry.objects.filter(what="case-withdrawn").count() == 2
    page = as_doctor.post(address(reading, "undelete/"), follow=True).content.decode()
    assert "remains withdrawn" in page
    assert page.count("image withdrawn") == 2
    assert len(board.withdrawn) == 2


def test_a_reading_that_was_not_shared_mentions_no_board(reading, as_doctor, board):
    assert "data-delete-is-shared" not in as_doctor.get("/readings/").content.decode()
    page = as_doctor.get(address(reading, "delete/")).content.decode()
    assert "discussion board" not in page.split("<main")[1]
    page = as_doctor.post(address(reading, "delete/"), follow=True).content.decode()
    assert "Its image" not in page
    page = as_doctor.post(address(reading, "undelete/"), follow=True).content.decode()
    assert "remains withdrawn" not in page


def test_a_failed_deletion_withdraws_nothing(reading, as_doctor, doctor, board, monkeypatch):
    shared(as_doctor, reading)

    def fail(picture_id):
        raise RuntimeError("no such table")

    monkeypatch.setattr(board, "withdraw", fail)
    with pytest.raises(RuntimeError, match="no such table"):
        retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    assert not Reading.objects.get().is_hidden
    assert not SharedCase.objects.get().is_withdrawn


def test_a_purge_withdraws_remaining_images(reading, as_doctor, supervisor, board):
    """Such as after deleting a reading while no board was installed."""
    case = shared(as_doctor, reading)
    Reading.objects.update(hidden_at=timezone.now(), hidden_reason="MISTAKE")
    retention.purge_reading(supervisor=supervisor, reading_id=reading.pk, reason="wrong child")
    assert board.withdrawn == [case.picture_id]
    assert not SharedCase.objects.exists()


def test_a_reading_can_be_deleted_without_a_board(reading, as_doctor, board, monkeypatch, caplog):
    case = shared(as_doctor, reading)
    monkeypatch.setattr(boards, "_boards", [])
    assert as_doctor.post(address(reading, "delete/")).status_code == 302
    assert Reading.objects.get().is_hidden
    assert str(case.picture_id) in caplog.text
    assert not SharedCase.objects.get().is_withdrawn


def test_a_deleted_reading_cannot_be_shared(reading, doctor, board):
    retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    with pytest.raises(Reading.DoesNotExist):
        sharing.share_case(
            doctor=doctor, reading_id=reading.pk, category=1, title="x", body="x", boxes=[],
            submission=uuid.uuid4(),
        )  # fmt: skip
    assert board.cases == []


def test_one_image_is_withdrawn_without_the_reading(reading, as_doctor, board):
    first, second = shared(as_doctor, reading), shared(as_doctor, reading)
    page = as_doctor.get(address(reading, "")).content.decode()
    assert first.url in page
    withdraw = address(reading, f"share/{first.picture_id}/withdraw/")
    assert withdraw in page
    assert "immediately and permanently" in as_doctor.get(withdraw).content.decode()
    assert board.withdrawn == []
    page = as_doctor.post(withdraw, follow=True).content.decode()
    assert "The image has been withdrawn from the discussion board." in page
    assert board.withdrawn == [first.picture_id]
    assert withdraw not in page
    assert address(reading, f"share/{second.picture_id}/withdraw/") in page
    for method in (as_doctor.get, as_doctor.post):
        assert method(withdraw).status_code == 404, "an image is withdrawn once"
    assert not Reading.objects.get().is_hidden
