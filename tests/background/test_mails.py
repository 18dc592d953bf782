"""Queued emails: part of the transaction, sent once, tried again, and never readable at rest."""

import datetime
import smtplib

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMessage, send_mail
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from tests import board
from tests.background.conftest import run_all
from tests.conftest import signed_in
from tests.factories import SupervisorFactory, UserFactory
from xraysite.common.background import delivery, mails
from xraysite.common.background.models import Mail

pytestmark = pytest.mark.usefixtures("database_queue")

REFUSALS = {
    "recipient, for good": (
        smtplib.SMTPRecipientsRefused({"a@example.org": (550, b"no such user")}), "FAILED",
    ),
    "recipient, for now": (
        smtplib.SMTPRecipientsRefused({"a@example.org": (450, b"greylisted")}), "WAITING",
    ),
    "content, for good": (smtplib.SMTPDataError(554, b"spam"), "FAILED"),
    "content, for now": (smtplib.SMTPDataError(451, b"busy"), "WAITING"),
    "sender": (smtplib.SMTPSenderRefused(550, b"not allowed", "x@example.org"), "WAITING"),
}  # fmt: skip


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


def written(kind: type[EmailMessage] = EmailMessage) -> EmailMessage:
    link = "https://xray.example.org/reset/secret-key/"
    return kind("Reset your password", f"Open {link}", to=["a@example.org"])


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception, *, method: str) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(EmailBackend, method, refuse)


def test_an_email_is_stored_and_a_task_sends_it():
    send_mail("Subject", "Body", None, ["a@example.org"])
    assert mail.outbox == []
    run_all()
    (sent,) = mail.outbox
    assert (sent.subject, sent.body, sent.to) == ("Subject", "Body", ["a@example.org"])
    kept = Mail.objects.get()
    assert (kept.state, kept.content, kept.attempts) == ("SENT", "", 1)
    assert sent.extra_headers["Message-ID"] == f"<{kept.pk.hex}@localhost>"


def test_a_rolled_back_change_sends_no_email():
    with transaction.atomic():
        written().send()
        transaction.set_rollback(True)
    run_all()
    assert mail.outbox == []
    assert not Mail.objects.exists()
    assert not DBTaskResult.objects.exists()


def test_the_email_of_a_decision_is_stored_with_the_decision(monkeypatch):
    """Otherwise a process killed between the commit and the email would lose it."""
    user = UserFactory(approval="PENDING")
    browser = signed_in(SupervisorFactory())
    with transaction.atomic():
        browser.post(f"/admin/accounts/user/{user.pk}/approve/", {"role": "doctor"})
        assert Mail.objects.count() == 1
        assert mail.outbox == []
    run_all()
    assert [one.to for one in mail.outbox] == [[user.email]]


def test_a_slow_mail_server_does_not_hold_the_page(monkeypatch):
    def slow(*args: object) -> None:
        raise AssertionError("the page talks to the mail server")

    monkeypatch.setattr(EmailBackend, "send_messages", slow)
    user = UserFactory(approval="PENDING")
    page = signed_in(SupervisorFactory()).post(
        f"/admin/accounts/user/{user.pk}/reject/", {"reason": "x"}, follow=True
    )
    assert "could not be sent" not in page.content.decode()
    assert Mail.objects.count() == 1


def test_emails_with_a_secret_link_are_unreadable_in_the_database(client):
    user = UserFactory()
    client.post("/accounts/password/reset/", {"email": user.email})
    kept = Mail.objects.get()
    row = str(Mail.objects.values().get()) + str(DBTaskResult.objects.values().get())
    assert user.email not in row
    assert "/accounts/password/" not in row
    run_all()
    assert "/accounts/password/reset/key/" in mail.outbox[0].body
    kept.refresh_from_db()
    assert kept.content == ""


def test_an_email_survives_a_change_of_the_secret_key(settings):
    written().send()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "y" * 60
    run_all()
    assert len(mail.outbox) == 1


def test_an_email_that_cannot_be_decrypted_fails_with_advice(settings):
    written().send()
    settings.SECRET_KEY = "y" * 60
    run_all()
    assert "SECRET_KEY_FALLBACKS" in Mail.objects.get().error
    assert DBTaskResult.objects.get().status == "FAILED"


def test_attachments_are_refused():
    message = written()
    message.attach("film.png", b"x", "image/png")
    with pytest.raises(ValueError, match="Send a link instead"):
        message.send()


def test_an_unreachable_server_is_tried_again_for_a_day(clock, monkeypatch):
    written().send()
    with monkeypatch.context() as patched:
        broken(patched, ConnectionRefusedError("refused"), method="open")
        waits = []
        while (kept := Mail.objects.get()).state == "WAITING":
            run_all()
            kept.refresh_from_db()
            waits.append(kept.due_at - timezone.now())
            clock.shift(max(waits[-1], datetime.timedelta(0)))
    assert waits[:-1] == delivery.DELAYS
    assert kept.state == "FAILED"
    assert "It was tried 8 times." in kept.error
    failed = DBTaskResult.objects.get(status="FAILED")
    assert "ConnectionRefusedError: refused" in failed.traceback
    assert mail.outbox == []


def test_an_email_waits_until_it_is_due_again(clock, monkeypatch):
    written().send()
    with monkeypatch.context() as patched:
        broken(patched, OSError("unreachable"), method="open")
        run_all()
    # A second task of the same email, as after a worker that died.
    mails.enqueue(mails.send_mail, mail_id=Mail.objects.get().pk)
    run_all()
    assert mail.outbox == []
    clock.shift(delivery.DELAYS[0])
    run_all()
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("kind", [EmailMessage, mails.AtMostOnceMessage])
def test_an_answer_of_the_server_is_certain(case, kind, monkeypatch):
    error, state = REFUSALS[case]
    written(kind).send()
    broken(monkeypatch, error, method="send_messages")
    run_all()
    assert Mail.objects.get().state == state


@pytest.mark.parametrize("error", [TimeoutError("timed out"), smtplib.SMTPServerDisconnected("x")])
def test_a_connection_that_breaks_is_uncertain(error, monkeypatch):
    written().send()
    written(mails.AtMostOnceMessage).send()
    with monkeypatch.context() as patched:
        broken(patched, error, method="send_messages")
        run_all()
    once = Mail.objects.get(is_sent_at_most_once=True)
    assert (once.state, Mail.objects.get(is_sent_at_most_once=False).state) == (
        "UNCERTAIN", "WAITING",
    )  # fmt: skip
    assert "may have arrived" in once.error
    failed = DBTaskResult.objects.get(status="FAILED")
    assert failed.args_kwargs["kwargs"] == {"mail_id": str(once.pk)}


def test_what_the_database_says_after_a_worker_died_while_sending():
    """What the workers of `test_worker.py` do in other processes, one step at a time."""
    written().send()
    written(mails.AtMostOnceMessage).send()
    for row in DBTaskResult.objects.all():
        Mail.objects.filter(pk=row.args_kwargs["kwargs"]["mail_id"]).update(
            state="SENDING", claimed_by=str(row.pk), claimed_at=timezone.now(), attempts=1
        )
    run_all()
    assert len(mail.outbox) == 1
    states = dict(Mail.objects.values_list("is_sent_at_most_once", "state"))
    assert states == {False: "SENT", True: "UNCERTAIN"}


def test_two_tasks_of_an_email_send_it_once():
    written().send()
    kept = Mail.objects.get()
    for _ in range(3):
        mails.enqueue(mails.send_mail, mail_id=kept.pk)
    Mail.objects.update(state="SENDING", claimed_by="another", claimed_at=timezone.now())
    run_all()
    assert mail.outbox == [], "another task is sending it"
    Mail.objects.update(state="WAITING")
    mails.enqueue(mails.send_mail, mail_id=kept.pk)
    mails.enqueue(mails.send_mail, mail_id=kept.pk)
    run_all()
    assert len(mail.outbox) == 1


def test_an_email_whose_task_was_lost_is_enqueued_again_once(clock):
    written().send()
    clock.shift(datetime.timedelta(minutes=11))
    assert mails.requeue() == 0, "its task still waits"
    DBTaskResult.objects.all().delete()
    assert (mails.requeue(), mails.requeue()) == (1, 0)
    run_all()
    assert len(mail.outbox) == 1


def test_a_person_can_send_an_uncertain_email_again(monkeypatch, as_supervisor):
    written(mails.AtMostOnceMessage).send()
    with monkeypatch.context() as patched:
        broken(patched, TimeoutError("timed out"), method="send_messages")
        run_all()
    row = DBTaskResult.objects.get()
    as_supervisor.post(f"/admin/django_tasks_database/dbtaskresult/{row.pk}/retry/")
    run_all()
    assert len(mail.outbox) == 1


def test_old_emails_are_pruned(clock):
    written().send()
    run_all()
    clock.shift(datetime.timedelta(days=15))
    written().send()
    call_command("prune_tasks", verbosity=0)
    assert [kept.state for kept in Mail.objects.all()] == ["WAITING"]


def test_notifications_of_the_board_are_mailed_without_the_timer(clock, doctor, other_doctor):
    topic = board.open_case(other_doctor)
    board.reply(doctor, topic, f"@{other_doctor.display_name} see this")
    run_all()
    assert mail.outbox == [], "still within the grace period"
    clock.shift(datetime.timedelta(minutes=3))
    run_all()
    run_all()
    (sent,) = mail.outbox
    assert sent.to == [other_doctor.email]
    assert "https://xray.example.org/forum/" in sent.body
    assert Mail.objects.get().is_sent_at_most_once
    call_command("send_board_mail", site="https://xray.example.org", verbosity=0)
    run_all()
    assert len(mail.outbox) == 1, "the timer does not send it a second time"


def test_emails_that_waited_in_a_restored_backup_can_be_set_aside(capsys, as_supervisor):
    written().send()
    call_command("recover_tasks", set_aside=True)
    assert "1 emails set aside." in capsys.readouterr().out
    run_all()
    assert mail.outbox == []
    page = as_supervisor.get("/admin/django_tasks_database/dbtaskresult/").content.decode()
    assert "may have been sent since the backup" in page
    row = DBTaskResult.objects.get()
    as_supervisor.post(f"/admin/django_tasks_database/dbtaskresult/{row.pk}/retry/")
    run_all()
    assert len(mail.outbox) == 1
