"""Batches: each X-ray becomes one reading, under the right name or none."""

import datetime
import io
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from accounts import account_limits
from accounts.models import AuditEntry
from diagnosis import retention, storage
from diagnosis.batches import assigning, ending, receiving, running
from diagnosis.batches import reading as batch_reading
from diagnosis.models import (
    Batch,
    BatchItem,
    ItemState,
    Reading,
    Source,
    Team,
    TeamMembership,
)
from diagnosis.services import quotas
from diagnosis.services.films import original_film
from mlcore.inference import ModelUnavailable
from tests.conftest import post_film, signed_in, upload_of
from tests.films import encode, encode_dicom, synthetic_film

TYPED = {"patient_name": "林小美", "patient_age_years": "4", "exam_date": "2026-01-05"}


def png(seed: int) -> bytes:
    return encode(synthetic_film("NORMAL", seed=seed, size=200), "png")


def dicom(seed: int, **header: str) -> bytes:
    stated = {
        "patient_name": "Chen^Mei", "patient_id": "D77", "age": "004Y", "study_date": "20260105",
    }  # fmt: skip
    pixels = synthetic_film("NORMAL", seed=seed, size=200)
    return encode_dicom(pixels, **(stated | header))


@pytest.fixture
def committed(django_capture_on_commit_callbacks) -> Any:
    """Return a context manager that does at its end what waits for the commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def batch(lenient_model, doctor) -> Batch:
    return receiving.begin_batch(doctor=doctor)


def send(batch: Batch, path: str, data: bytes) -> BatchItem:
    received = receiving.add_file(
        doctor=batch.doctor, batch_id=batch.pk, path=path, file=io.BytesIO(data)
    )
    return received.items[0]


def read(*items: BatchItem) -> list[str]:
    """Read what waits, and return the states of some files."""
    running.read_waiting("test")
    for item in items:
        item.refresh_from_db()
    return [item.state for item in items]


def is_stored(item: BatchItem) -> bool:
    return storage.films().find(storage.batch_name(item.doctor_id, item.pk)) is not None


def test_files_become_readings_unless_data_are_missing(batch):
    complete, unnamed, picture, text = (
        send(batch, "ward/1.dcm", dicom(1)),
        send(batch, "ward/2.dcm", dicom(2, patient_name="")),
        send(batch, "ward/3.png", png(3)),
        send(batch, "ward/4.txt", b"these are notes"),
    )
    assert read(complete, unnamed, picture, text) == ["DONE", "NEEDS_DATA", "NEEDS_DATA", "FAILED"]
    reading = Reading.objects.get()
    assert (reading.pk, reading.doctor, reading.original_name) == (
        complete.pk, batch.doctor, "1.dcm",
    )  # fmt: skip
    assert (reading.patient_name, reading.patient_age_years) == ("Chen Mei", 4)
    assert original_film(reading) == dicom(1)
    assert text.problem["code"] == "not_an_image"
    assert [is_stored(item) for item in (complete, unnamed, picture, text)] == [
        False, True, True, False,
    ]  # fmt: skip
    # In the log, the reading was made by its doctor.
    entry = AuditEntry.objects.get(what="created", object_pk=str(reading.pk))
    assert entry.actor == batch.doctor


def test_the_table_shows_each_file_and_takes_patient_data(batch, as_doctor):
    item, other = send(batch, "3.png", png(3)), send(batch, "<b>.txt", b"x")
    read()
    page = as_doctor.get(batch.get_absolute_url()).content.decode()
    assert "Needs patient data" in page
    assert "The file is not an image" in page
    assert "&lt;b&gt;.txt" in page
    film = as_doctor.get(reverse("readings:batch_film", args=[item.pk]))
    assert film.content.startswith(b"\xff\xd8"), "to see whose X-ray it is"
    assert AuditEntry.objects.get(what="batch-film").object_pk == str(item.pk)
    fields = {f"{item.pk}-{name}": text for name, text in TYPED.items()}
    wrong = fields | {f"{item.pk}-patient_age_years": "four", "batch": batch.pk}
    answer = as_doctor.post(reverse("readings:batch_patients"), wrong, follow=True)
    assert read(item) == ["NEEDS_DATA"]
    assert "Enter a whole number" in answer.content.decode()
    assert "林小美" in answer.content.decode(), "what was typed is kept"
    as_doctor.post(reverse("readings:batch_patients"), fields | {"batch": batch.pk})
    assert read(item, other) == ["DONE", "FAILED"]
    assert Reading.objects.get().patient_name == "林小美"
    assert item.entered == {}, "patient data are kept in one place only"


def test_files_that_nobody_typed_anything_about_stay_as_they_are(batch, as_doctor):
    first, second = send(batch, "1.png", png(1)), send(batch, "2.png", png(2))
    read()
    fields = {f"{first.pk}-{name}": text for name, text in TYPED.items()}
    today = timezone.localdate().isoformat()
    fields |= {f"{second.pk}-{name}": "" for name in TYPED} | {f"{second.pk}-exam_date": today}
    as_doctor.post(reverse("readings:batch_patients"), fields)
    assert read(first, second) == ["DONE", "NEEDS_DATA"]
    assert second.entered == {}


def test_typed_data_that_contradict_the_file_are_decided_by_the_doctor(batch, as_doctor):
    item = send(batch, "1.dcm", dicom(1, patient_name=""))
    read()
    assigning.enter_patient(
        doctor=batch.doctor, item_id=item.pk, fields=TYPED | {"patient_age_years": "3"}
    )
    assert read(item) == ["UNDECIDED"]
    assert not Reading.objects.exists()
    assert "Age" in as_doctor.get(batch.get_absolute_url()).content.decode()
    decide = reverse("readings:batch_item", args=[item.pk, "decide"])
    check = as_doctor.post(decide, follow=True)
    assert check.redirect_chain[-1][0] == reverse("readings:check", args=[item.pk])
    done = as_doctor.post(check.redirect_chain[-1][0], {"choose_patient_age_years": Source.FILE})
    assert done.headers["Location"] == batch.get_absolute_url()
    reading = Reading.objects.get()
    assert (reading.pk, reading.patient_age_years, reading.patient_name) == (item.pk, 4, "林小美")
    assert [entry["field"] for entry in reading.discrepancies] == ["patient_age_years"]
    assert read(item) == ["DONE"]
    assert not is_stored(item)


def test_the_same_x_ray_under_another_patient_is_asked_about(
    batch, as_doctor, film_bytes, committed
):
    post_film(as_doctor, film_bytes)  # 陳小明's
    item = send(batch, "again.png", film_bytes)
    assigning.enter_patient(doctor=batch.doctor, item_id=item.pk, fields=TYPED)
    assert read(item) == ["UNDECIDED"]
    assert Reading.objects.count() == 1
    as_doctor.post(reverse("readings:batch_item", args=[item.pk, "decide"]))
    check = reverse("readings:check", args=[item.pk])
    seen = {"seen": str(Reading.objects.get().pk)}
    assert "Enter why" in as_doctor.post(check, seen).content.decode()
    assert Reading.objects.count() == 1
    with committed():
        as_doctor.post(check, {"wrong_file": "1"})
    assert read(item) == ["CANCELLED"]
    assert not is_stored(item)


def test_a_file_is_taken_once_and_what_is_missing_can_be_sent_again(batch, as_doctor):
    first = send(batch, "a/1.png", png(1))
    known = as_doctor.get(reverse("readings:batch_known", args=[batch.pk])).json()
    assert known == {"sha256": [first.sha256]}
    again = receiving.add_file(
        doctor=batch.doctor, batch_id=batch.pk, path="b/copy.png", file=io.BytesIO(png(1))
    )
    assert (again.new, again.items) == (0, (first,))
    send(batch, "a/2.png", png(2))
    assert [item.path for item in batch.items.order_by("position")] == ["a/1.png", "a/2.png"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_reading_is_made_once_though_its_process_died(batch, moment):
    """Before or after the reading was stored."""
    item = send(batch, "1.dcm", dicom(1))
    where = "_decoded" if moment == "before" else "settle"
    with (
        mock.patch.object(batch_reading, where, side_effect=SystemExit),
        pytest.raises(SystemExit),
    ):
        batch_reading.read_item(item_id=item.pk, worker="killed")
    item.refresh_from_db()
    assert item.state == ItemState.READING
    # Another worker leaves it alone for as long as reading may take.
    assert batch_reading.read_item(item_id=item.pk, worker="other") is None
    assert Reading.objects.count() == (moment == "after")
    old = timezone.now() - batch_reading.ABANDONED - datetime.timedelta(seconds=1)
    BatchItem.objects.filter(pk=item.pk).update(claimed_at=old)
    assert running.revive() == 1
    assert read(item) == ["DONE"]
    assert Reading.objects.get().pk == item.pk


def test_a_file_that_kills_its_process_is_given_up(batch):
    item = send(batch, "1.dcm", dicom(1))
    BatchItem.objects.filter(pk=item.pk).update(attempts=batch_reading.MAX_ATTEMPTS)
    assert read(item) == ["FAILED"]
    assert item.problem["code"] == "stopped"
    assert ending.retry(doctor=batch.doctor, item_ids=[item.pk]) == 1
    assert read(item) == ["DONE"]


def test_a_model_that_is_missing_for_now_is_tried_again_later(batch, as_doctor):
    item = send(batch, "1.dcm", dicom(1))
    broken = ModelUnavailable("inactive", "no model")
    with mock.patch.object(batch_reading, "submit_reading", side_effect=broken):
        assert read(item) == ["WAITING"]
    assert item.due_at > timezone.now()
    assert "No model is active" in as_doctor.get(batch.get_absolute_url()).content.decode()
    assert read(item) == ["WAITING"], "it is not due yet"
    BatchItem.objects.filter(pk=item.pk).update(due_at=timezone.now())
    assert read(item) == ["DONE"]


def test_cancelling_stops_what_has_not_begun(batch, as_doctor, committed):
    done, waiting, unnamed = (
        send(batch, "1.dcm", dicom(1)), send(batch, "2.dcm", dicom(2)), send(batch, "3.png", png(3))
    )  # fmt: skip
    batch_reading.read_item(item_id=done.pk, worker="test")
    batch_reading.read_item(item_id=unnamed.pk, worker="test")
    with committed():
        as_doctor.post(reverse("readings:batch_cancel", args=[batch.pk]))
    assert read(done, waiting, unnamed) == ["DONE", "CANCELLED", "CANCELLED"]
    assert Reading.objects.count() == 1
    assert not is_stored(waiting)
    assert not is_stored(unnamed)
    with pytest.raises(receiving.BatchClosedError):
        send(batch, "4.png", png(4))
    log = AuditEntry.objects.filter(object_pk=str(batch.pk)).order_by("sequence")
    assert [entry.what for entry in log] == ["batch-begun", "batch-cancelled"]


def test_nobody_else_sees_or_changes_a_batch(batch, as_other_doctor, other_doctor, as_supervisor):
    item = send(batch, "3.png", png(3))
    read()
    for browser in (as_other_doctor, as_supervisor):
        assert browser.get(batch.get_absolute_url()).status_code == 404
    fields = {f"{item.pk}-{name}": text for name, text in TYPED.items()}
    as_other_doctor.post(reverse("readings:batch_patients"), fields)
    assert read(item) == ["NEEDS_DATA"]
    assert "3.png" not in as_other_doctor.get(reverse("readings:inbox")).content.decode()
    with pytest.raises(Batch.DoesNotExist):
        receiving.add_file(
            doctor=other_doctor, batch_id=batch.pk, path="x.png", file=io.BytesIO(png(1))
        )
    with pytest.raises(BatchItem.DoesNotExist):
        assigning.enter_patient(doctor=other_doctor, item_id=item.pk, fields=TYPED)


def test_the_inbox_lists_what_waits_until_it_is_removed(batch, as_doctor, settings, committed):
    item = send(batch, "films/3.png", png(3))
    read(item)
    inbox = as_doctor.get(reverse("readings:inbox")).content.decode()
    assert "films/3.png" in inbox
    assert "will be removed" not in inbox
    days = datetime.timedelta(days=settings.BATCH_KEEP_DAYS)
    almost = timezone.now() - days + datetime.timedelta(hours=5)
    BatchItem.objects.filter(pk=item.pk).update(changed_at=almost)
    call_command("sweep_films", verbosity=0)
    assert "will be removed" in as_doctor.get(reverse("readings:inbox")).content.decode()
    assert is_stored(item)
    BatchItem.objects.filter(pk=item.pk).update(changed_at=timezone.now() - days)
    with committed():
        call_command("sweep_films", verbosity=0)
    assert read(item) == ["EXPIRED"]
    assert not is_stored(item)
    page = as_doctor.get(batch.get_absolute_url()).content.decode()
    assert "Nobody stated whose X-ray it is in time." in page
    assert send(batch, "films/3.png", png(3)).pk == item.pk, "it can be sent again"
    assert read(item) == ["NEEDS_DATA"]


def test_files_without_a_row_are_swept_and_lost_files_are_reported(batch):
    item = send(batch, "1.png", png(1))
    name = storage.batch_name(batch.doctor_id, item.pk)
    BatchItem.objects.all().delete()
    assert list(ending.leftovers()) == [], "it may be about to get its row"
    later = timezone.now() + 2 * ending.ORPHAN_AGE
    with mock.patch.object(ending.timezone, "now", return_value=later):
        assert [file.name for file in ending.leftovers()] == [name]
    second = send(batch, "2.png", png(2))
    storage.remove([storage.batch_name(batch.doctor_id, second.pk)])
    assert [each.pk for each in ending.missing()] == [second.pk]
    assert read(second) == ["FAILED"]
    assert second.problem["code"] == "lost"
    assert send(batch, "2.png", png(2)).pk == second.pk
    assert read(second) == ["NEEDS_DATA"]


def answer_to(browser: Any, batch: Batch, data: bytes) -> Any:
    address = reverse("readings:batch_files", args=[batch.pk])
    return browser.post(
        address, {"file": upload_of(data), "path": "f.png"},
        headers={"x-requested-with": "XMLHttpRequest"},
    )  # fmt: skip


def test_each_file_counts_for_the_limits_of_the_account(batch, as_doctor, settings):
    settings.ACCOUNT_LIMITS = {account_limits.UPLOAD: ("2/h",)}
    assert [answer_to(as_doctor, batch, png(n)).status_code for n in (1, 2)] == [201, 201]
    refused = answer_to(as_doctor, batch, png(3))
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert "Try again in" in refused.json()["error"]
    # What has arrived does not count again.
    assert answer_to(as_doctor, batch, png(1)).status_code == 201


def test_files_that_wait_count_for_the_quota(batch, as_doctor, settings):
    settings.DOCTOR_QUOTA_BYTES = len(png(1))
    assert answer_to(as_doctor, batch, png(1)).status_code == 201
    refused = answer_to(as_doctor, batch, png(2))
    assert (refused.status_code, refused.json()["is_final"]) == (422, True)
    with pytest.raises(quotas.QuotaError):
        quotas.require_space(batch.doctor)


def test_a_form_without_a_script_sends_several_files(lenient_model, as_doctor):
    table = "file,name,age,exam_date\n1.png,林小美,4,2026-01-05\n".encode()
    files = [upload_of(png(1), "1.png"), upload_of(png(2), "2.png"), upload_of(table, "who.csv")]
    answer = as_doctor.post(reverse("readings:new_batch"), {"files": files})
    batch = Batch.objects.get()
    assert answer.headers["Location"] == batch.get_absolute_url()
    read()
    states = dict(batch.items.values_list("path", "state"))
    assert states == {"1.png": "DONE", "2.png": "NEEDS_DATA"}


def test_a_deleted_reading_takes_its_name_out_of_the_table(batch, as_doctor):
    item = send(batch, "陳小明.dcm", dicom(1))
    read(item)
    as_doctor.post(reverse("readings:delete", args=[item.pk]))
    page = as_doctor.get(batch.get_absolute_url()).content.decode()
    assert "Deleted reading" in page
    assert "陳小明" not in page


def test_purging_a_reading_deletes_the_row_of_its_file(batch, supervisor):
    item = send(batch, "陳小明.dcm", dicom(1))
    read(item)
    retention.hide_reading(doctor=batch.doctor, reading_id=item.pk, reason="MISTAKE")
    retention.purge_reading(supervisor=supervisor, reading_id=item.pk, reason="x")
    assert not BatchItem.objects.exists()


def test_the_pages_of_a_large_batch_cost_few_queries(batch, doctor, django_assert_max_num_queries):
    for number in range(3):
        BatchItem.objects.bulk_create(
            BatchItem(
                batch=batch, doctor=doctor, position=number * 30 + each, path=f"{each}.png",
                sha256=f"{number}-{each}", size=1, state="NEEDS_DATA", stated={},
            )
            for each in range(30)
        )  # fmt: skip
    browser = signed_in(doctor)
    browser.get(reverse("home"))
    with django_assert_max_num_queries(22):
        browser.get(batch.get_absolute_url())
    with django_assert_max_num_queries(18):
        browser.get(reverse("readings:batches"))


def test_a_result_is_withheld_until_the_doctor_has_an_opinion(batch, doctor):
    doctor.blind_first = True
    doctor.save()
    item = send(batch, "1.dcm", dicom(1))
    assert read(item) == ["DONE"]
    label = Reading.objects.get().get_label_display()
    browser = signed_in(doctor)
    for address in (
        batch.get_absolute_url(),
        reverse("readings:batch_rows", args=[batch.pk]) + "?after=2026-01-01T00:00:00Z",
    ):
        page = browser.get(address).content.decode()
        assert "Chen Mei" in page
        assert "After your opinion" in page
        assert f"</svg>{label}" not in page


def test_a_batch_is_shared_with_the_chosen_team(lenient_model, doctor, as_doctor, committed):
    teams = [Team.objects.create(name=name) for name in ("兒科病房", "急診")]
    for team in teams:
        TeamMembership.objects.create(team=team, user=doctor)
    page = as_doctor.get(reverse("readings:new_batch")).content.decode()
    assert all(f'<option value="{team.pk}">' in page for team in teams)
    made = as_doctor.post(
        reverse("readings:new_batch"),
        {"team": teams[1].pk},
        headers={"x-requested-with": "XMLHttpRequest"},
    )
    batch = Batch.objects.get()
    assert read(send(batch, "a.dcm", dicom(1))) == [ItemState.DONE]
    assert Reading.objects.get().team == teams[1]
    assert "急診" in as_doctor.get(made.json()["page"]).content.decode()

    # Nobody, although one team is left; and not the team that the doctor has left since.
    for team, remaining in ((None, teams[0]), (teams[0], None)):
        TeamMembership.objects.filter(user=doctor).exclude(team=remaining).delete()
        batch = receiving.begin_batch(doctor=doctor, team=None)
        Batch.objects.filter(pk=batch.pk).update(team=team)
        item = send(batch, "b.dcm", dicom(2 + bool(team)))
        assert read(item) == [ItemState.DONE]
        assert Reading.objects.get(pk=item.pk).team is None
