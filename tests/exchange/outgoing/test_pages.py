"""What doctors and supervisors see of results that are sent to other systems."""

import hashlib
import io
import uuid
import zipfile
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from accounts.models import AuditEntry
from diagnosis.models import Reading
from exchange.outgoing import running
from exchange.outgoing.models import Delivery, Target
from exchange.outgoing.reasons import stored
from exchange.outgoing.transport.answers import UNREACHABLE
from tests.background.conftest import database_queue, run_all  # noqa: F401 - a fixture
from tests.exchange.outgoing import results
from tests.exchange.outgoing.results import (
    dicom_archive,
    objects_of,
    sign,
    stored_reading,
    target,
    web_archive,
)
from xraysite.common.background import queue

pytestmark = pytest.mark.django_db

FIELDS = {
    "name": "PACS", "is_enabled": "on", "way": "C_STORE", "ae_title": "PACS", "host": "pacs.local",
    "port": 104, "own_ae_title": "XRAYSITE", "when": "SIGNED", "sends_report": "on",
}  # fmt: skip


@pytest.fixture
def reading(active_model, doctor) -> Reading:
    return stored_reading(doctor, results.dicom_film(), patient_number="N4711")


def text_of(response: Any) -> str:
    content: str = response.content.decode()
    return content


def test_the_download_holds_the_objects_that_are_sent(reading, as_doctor):
    sign(reading)
    response = as_doctor.get(reverse("outgoing:dicom_zip", args=[reading.pk]))
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    made = objects_of(reading)
    assert {hashlib.sha256(data).hexdigest() for data in found.values()} == {
        each.sha256 for each in made.values()
    }
    assert all(name.endswith(".dcm") and "N4711" not in name for name in found)
    assert "N4711" not in response.headers["Content-Disposition"]
    row = AuditEntry.objects.get(what="dicom-downloaded")
    assert {each["uid"] for each in row.additional_data["objects"]} == {
        each.uid for each in made.values()
    }


def test_a_withheld_result_is_not_downloaded(reading, as_doctor):
    Reading.objects.filter(pk=reading.pk).update(withheld=True, blind_first=True)
    response = as_doctor.get(reverse("outgoing:dicom_zip", args=[reading.pk]))
    assert response.status_code == 302
    assert not AuditEntry.objects.filter(what="dicom-downloaded").exists()


def test_a_lost_film_is_said_and_nothing_breaks(reading, as_doctor):
    Reading.objects.filter(pk=reading.pk).update(film_sha256="0" * 64)
    address = reverse("outgoing:dicom_zip", args=[reading.pk])
    assert "cannot be made" in text_of(as_doctor.get(address, follow=True))


def test_the_page_says_which_systems_have_the_result(reading, as_doctor):
    page = reading.get_absolute_url()
    assert "Other systems" not in text_of(as_doctor.get(page))
    with dicom_archive() as archive:
        target(name="Hospital PACS", port=archive.port)
        sign(reading)
        assert "Waiting to be sent to Hospital PACS" in text_of(as_doctor.get(page))
        running.send_due("test")
    assert "Sent to Hospital PACS on" in text_of(as_doctor.get(page))


def test_supervisors_set_a_system_up_and_it_is_audited(as_supervisor):
    response = as_supervisor.post(reverse("admin:outgoing_target_add"), FIELDS)
    assert response.status_code == 302, text_of(response)
    made = Target.objects.get()
    assert (made.when, made.sends_unsure, made.kinds) == ("SIGNED", False, ["sr"])
    rows = AuditEntry.objects.filter(content_type__model="target", object_pk=str(made.pk))
    assert rows.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ae_title": ""}, "This field is required."),
        ({"ae_title": "TOO LONG A TITLE!"}, "at most 16"),
        ({"host": "pacs.local; rm"}, "Enter a host name"),
        ({"way": "STOW"}, "This field is required."),
        ({"way": "STOW", "url": "ftp://pacs.local/"}, "begins with https:// or http://"),
        ({"way": "STOW", "url": "https://user:secret@pacs.local/"}, "begins with https://"),
        ({"way": "STOW", "url": "http://pacs.local/", "token_name": "A"}, "only sent over https"),
        ({"way": "STOW", "url": "https://pacs.local/", "token_name": "a/../b"}, "Capital letters"),
    ],
)
def test_settings_that_cannot_work_are_refused(as_supervisor, changes, words):
    response = as_supervisor.post(reverse("admin:outgoing_target_add"), FIELDS | changes)
    assert words in text_of(response)
    assert not Target.objects.exists()


@pytest.mark.filterwarnings("ignore:Exception ignored in.*socket")
def test_the_connection_is_tested_by_a_button(as_supervisor):
    with dicom_archive() as archive:
        made = target(port=archive.port)
        address = reverse("admin:outgoing_target_test", args=[made.pk])
        assert "C-ECHO" in text_of(as_supervisor.get(address))
        assert "The system answers (C-ECHO)" in text_of(as_supervisor.post(address, follow=True))
    assert "does not work" in text_of(as_supervisor.post(address, follow=True))
    with web_archive() as web:
        web.answer = (404, {})
        other = target(name="Web", way="STOW", url=web.url)
        address = reverse("admin:outgoing_target_test", args=[other.pk])
        assert "There is no STOW-RS service" in text_of(as_supervisor.post(address, follow=True))
        assert web.requests[0][0] == "OPTIONS"


def test_the_list_names_readings_and_reasons_and_no_patient(reading, as_supervisor):
    to = target()
    for _ in range(3):
        Delivery.objects.create(
            reading=reading, target=to, state="FAILED", due_at=timezone.now(), attempts=3,
            error=stored(UNREACHABLE, where="PACS 127.0.0.1:9"),
        )  # fmt: skip
    address = reverse("admin:outgoing_delivery_changelist")
    page = text_of(as_supervisor.get(address))
    assert str(reading.pk)[:8] in page
    assert "PACS 127.0.0.1:9 cannot be reached" in page
    assert "陳小明" not in page
    assert "N4711" not in page
    chosen = {"action": "retry", "_selected_action": [Delivery.objects.first().pk]}
    assert "1 result is being sent." in text_of(as_supervisor.post(address, chosen, follow=True))
    assert Delivery.objects.filter(state="WAITING").count() == 1
    chosen = {
        "action": "cancel",
        "_selected_action": list(Delivery.objects.values_list("pk", flat=True)),
    }
    assert "4 results were cancelled." in text_of(as_supervisor.post(address, chosen, follow=True))
    assert set(Delivery.objects.values_list("state", flat=True)) == {"CANCELLED"}
    assert AuditEntry.objects.filter(what="result-cancelled").count() == 4


def test_the_list_takes_as_many_queries_for_many_deliveries(
    reading, as_supervisor, django_assert_max_num_queries
):
    to = target()
    address = reverse("admin:outgoing_delivery_changelist")
    as_supervisor.get(address)
    Delivery.objects.bulk_create(
        Delivery(reading=reading, target=to, state="SENT", due_at=timezone.now()) for _ in range(60)
    )
    with django_assert_max_num_queries(22):
        as_supervisor.get(address)


@pytest.mark.usefixtures("database_queue")
class TestWithWorkers:
    """A worker sends, tries again later, and what lost its task is queued again."""

    def test_a_worker_sends(self, reading):
        with dicom_archive() as archive:
            to = target(port=archive.port)
            sign(reading)
            assert not archive.got
            archive.status = 0xA700
            run_all()
            delivery = Delivery.objects.get()
            assert (delivery.state, delivery.attempts) == ("WAITING", 1)
            archive.status = 0
            later = DBTaskResult.objects.get(
                task_path=running.send_result.module_path, status="READY"
            )
            assert later.run_after > timezone.now()
            Delivery.objects.update(due_at=timezone.now())
            DBTaskResult.objects.filter(pk=later.pk).update(run_after=timezone.now())
            run_all()
            assert len(archive.got) == 1
        assert Delivery.objects.get().state == "SENT"
        assert to.name not in str(DBTaskResult.objects.values_list("args_kwargs", flat=True))

    def test_a_lost_task_is_queued_again(self, reading, capsys):
        target()
        sign(reading)
        tasks = DBTaskResult.objects.filter(task_path=running.send_result.module_path)
        tasks.delete()
        assert running.recover() == 0, "it is not overdue"
        long_ago = timezone.now() - 2 * running.sending.ABANDONED
        Delivery.objects.update(due_at=long_ago)
        call_command("recover_tasks")
        assert "1 results to other systems started again." in capsys.readouterr().out
        assert tasks.count() == 1
        assert running.recover() == 0

    def test_a_failed_task_may_be_retried_from_the_list_of_tasks(self, reading):
        with dicom_archive() as archive:
            target(port=archive.port)
            sign(reading)
            archive.status = 0xC000
            run_all()
            task = DBTaskResult.objects.get(status="FAILED")
            archive.status = 0
            assert queue.retry(str(task.pk))
            run_all()
            assert len(archive.got) == 1
        assert Delivery.objects.get().state == "SENT"

    def test_a_worker_that_died_goes_on(self, reading):
        """The queue gives another worker the same task."""
        with dicom_archive() as archive:
            target(port=archive.port)
            sign(reading)
            task = DBTaskResult.objects.get(task_path=running.send_result.module_path)
            Delivery.objects.update(
                state="SENDING", claimed_by=str(task.pk), claimed_at=timezone.now(), attempts=1
            )
            run_all()
            assert len(archive.got) == 1
        assert Delivery.objects.get().state == "SENT"

    def test_a_rolled_back_opinion_sends_nothing(self, reading):
        from django.db import transaction

        target()
        with transaction.atomic():
            sign(reading)
            transaction.set_rollback(True)
        assert not Delivery.objects.exists()
        assert not DBTaskResult.objects.filter(task_path=running.send_result.module_path).exists()


def test_an_unknown_reading_has_no_download(as_doctor, active_model):
    assert as_doctor.get(reverse("outgoing:dicom_zip", args=[uuid.uuid4()])).status_code == 404
