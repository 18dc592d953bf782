"""An emptied, cut or replaced audit log is detected, also by what lies outside the database."""

import logging
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.core.management import (
    CommandError,
    call_command,
    get_commands,
    load_command_class,
)
from django.db import connection, connections

from accounts.audit import anchor, anchoring, recording
from accounts.audit.verify import verify_log
from accounts.models import AuditEntry, AuditHead, User
from tests.factories import DoctorFactory, ReadingFactory, UserFactory

pytestmark = pytest.mark.django_db


def execute(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def empty_log() -> None:
    """Empty the log as somebody can who controls the database but has no key."""
    execute("DELETE FROM accounts_auditmention")
    execute("DELETE FROM accounts_auditentry")
    execute("UPDATE accounts_audithead SET sequence = 0, seal = '', own_seal = ''")


def restore(head: AuditHead) -> None:
    """Restore an older copy of the log: its rows, and its head with the head's own seal."""
    execute("DELETE FROM accounts_auditentry WHERE sequence > %s", head.sequence)
    execute(
        "UPDATE accounts_audithead SET sequence = %s, seal = %s, own_seal = %s",
        head.sequence, head.seal, head.own_seal,
    )  # fmt: skip


def verify(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_audit", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def file(settings, tmp_path, monkeypatch):
    """The anchor's file, written for the log as it is; it moves with every row."""
    monkeypatch.setattr(anchoring, "MOVE_EVERY_S", 0)
    for name in ("moved", "reported"):
        monkeypatch.setattr(anchoring._Throttle, name, float("-inf"))
    settings.AUDIT_ANCHOR = tmp_path / "site" / "audit_anchor"
    anchoring.place(reason="a test")
    return settings.AUDIT_ANCHOR


@pytest.fixture
def record(django_capture_on_commit_callbacks):
    """A function that records an event as if its transaction were committed."""

    def write(user: User) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            recording.record_access(user, what="page")

    return write


def test_a_new_site_begins_its_log():
    first = AuditEntry.objects.order_by("sequence").first()
    assert (first.sequence, first.what) == (1, "log-started")
    assert "intact" in verify()


@pytest.mark.parametrize("goes_on", [False, True])
def test_an_emptied_log_is_detected_without_anything_outside(active_model, goes_on):
    reading = ReadingFactory()
    assert list(verify_log()) == []
    empty_log()
    if goes_on:
        recording.record_access(reading, what="page")
    out = StringIO()
    with pytest.raises(CommandError, match="is damaged"):
        call_command("verify_audit", stdout=out)
    said = out.getvalue()
    assert (
        f"1 of 1 diagnosis.reading objects have no row about their creation ({reading.pk})" in said
    )
    assert "1 of 1 accounts.user objects" in said
    assert ("The log is empty" in said) != goes_on
    assert ("head of the log, which refers to row 0, was altered" in said) != goes_on


def test_migrating_does_not_begin_an_emptied_log_anew(doctor):
    empty_log()
    anchoring.after_migrate(using="default")
    assert not AuditEntry.objects.filter(what="log-started").exists()
    execute("DELETE FROM accounts_auditentry")
    assert any("The log is empty" in sentence for sentence in verify_log())


def test_a_reset_head_is_reported_when_the_next_row_is_written(doctor, caplog):
    empty_log()
    recording.record_access(doctor, what="page")
    assert "head of the audit log was altered" in caplog.text


@pytest.mark.parametrize("command", ["auditlogflush", "auditlogmigratejson"])
@pytest.mark.parametrize("arguments", [["-y"], ["-y", "-t"], ["--before-date", "2099-01-01", "-y"]])
def test_commands_that_change_rows_are_refused(doctor, command, arguments, monkeypatch, capsys):
    monkeypatch.setattr(connections, "close_all", lambda: None)
    before = AuditEntry.objects.count()
    found = load_command_class(get_commands()[command], command)
    with pytest.raises(SystemExit):
        found.run_from_argv(["manage.py", command, *arguments])
    assert "never changed or deleted" in capsys.readouterr().err
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command(command)
    assert AuditEntry.objects.count() == before > 0


def test_a_renamed_kind_is_detected(doctor):
    assert list(verify_log()) == []
    execute(
        "UPDATE django_content_type SET model = 'usr' WHERE app_label = 'accounts' "
        "AND model = 'user'"
    )
    ContentType.objects.clear_cache()
    anchoring.after_migrate(using="default")  # an upgrade does not make it right
    said = list(verify_log())
    ContentType.objects.clear_cache()
    assert any("were written about accounts.user" in sentence for sentence in said), said
    assert any("calls it accounts.usr" in sentence for sentence in said)


def test_a_row_moved_to_an_unknown_kind_is_detected(doctor):
    kind = ContentType.objects.create(app_label="accounts", model="nothing")
    recording.record_access(doctor, what="page")
    row = AuditEntry(what="page", action=3, content_type=kind, object_pk="1", object_repr="x")
    row.save()
    assert any("which the log does not record" in sentence for sentence in verify_log())


def test_the_anchor_is_private_and_takes_part_in_verification(file, doctor, record):
    record(doctor)
    head = str(AuditHead.objects.get())
    first, second = file.read_text().splitlines()
    assert first == head
    assert second.startswith("20")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"Head: {head}" in verify()


def test_an_old_copy_of_the_log_is_detected_by_the_anchor(file, doctor, record):
    old = AuditHead.objects.get()
    record(doctor)
    named = file.read_text()
    restore(old)
    (sentence,) = verify_log()
    assert f"Row {old.sequence + 1} differs from the anchor {file}" in sentence
    # The site goes on, past the row that the anchor names: it must not move.
    for _ in range(3):
        record(doctor)
    assert file.read_text() == named
    assert any("differs from the anchor" in sentence for sentence in verify_log())


def test_an_emptied_log_that_goes_on_does_not_move_the_anchor(file, doctor, record, caplog):
    record(doctor)
    named = file.read_text()
    empty_log()
    with caplog.at_level(logging.ERROR):
        for _ in range(AuditEntry.objects.count() + 12):
            record(doctor)
    assert file.read_text() == named
    assert "rows were removed or replaced" in caplog.text
    assert any("differs from the anchor" in sentence for sentence in verify_log())


def test_a_restore_on_purpose_is_on_record(file, doctor, record):
    old = AuditHead.objects.get()
    record(doctor)
    named = file.read_text().splitlines()[0]
    restore(old)
    with pytest.raises(CommandError, match="State a reason"):
        call_command("anchor_audit", reason=" ")
    call_command("anchor_audit", reason="backup of Sunday", stdout=StringIO())
    row = AuditEntry.objects.get(what="anchored", sequence=AuditHead.objects.get().sequence)
    assert row.additional_data["before"] == named
    assert row.additional_data["reason"] == "backup of Sunday"
    assert "intact" in verify()


def test_a_lost_anchor_is_reported_and_not_written_anew_silently(file, doctor, record, caplog):
    file.unlink()
    with caplog.at_level(logging.ERROR):
        record(doctor)
    assert not file.exists()
    assert f"{file} is missing" in caplog.text
    with pytest.raises(CommandError, match="is damaged"):
        verify()
    anchoring.after_migrate(using="default")
    assert file.read_text().startswith(f"{AuditHead.objects.get()}\n")
    assert AuditEntry.objects.latest("sequence").what == "anchored"
    assert "intact" in verify()


@pytest.mark.parametrize("content", ["", "12:abc\n2026-01-01T00:00:00+00:00\n", "\0" * 80])
def test_a_damaged_anchor_is_reported_and_kept(file, doctor, record, content, caplog):
    file.write_text(content)
    with caplog.at_level(logging.ERROR):
        record(doctor)
    assert "is damaged" in caplog.text
    assert file.read_text() == content
    assert any("cannot be compared" in sentence for sentence in verify_log())


def test_an_anchor_that_cannot_be_written_stops_no_request(file, doctor, record, monkeypatch):
    named = file.read_text()

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(anchor, "write_atomically", full)
    record(doctor)
    assert file.read_text() == named
    assert list(verify_log()) == [], "the row that it names is still there"
    with pytest.raises(CommandError, match="No space left on device"):
        verify()


def test_an_anchor_lags_at_most_a_second(file, doctor, record, monkeypatch):
    monkeypatch.setattr(anchoring, "MOVE_EVERY_S", 1)
    now = time.monotonic() + 10
    monkeypatch.setattr(anchoring.time, "monotonic", lambda: now)
    record(doctor)
    named = file.read_text()
    record(doctor)
    assert file.read_text() == named
    now += 1
    record(doctor)
    assert file.read_text().startswith(f"{AuditHead.objects.get()}\n")


@pytest.mark.django_db(transaction=True)
def test_concurrent_writers_move_the_anchor_forward_only(file):
    doctor = UserFactory()
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(anchor.read().sequence)

    def write(number: int) -> None:
        try:
            for _ in range(15):
                recording.record_access(doctor, what="film", by=doctor, detail={"writer": number})
        finally:
            connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(4) as writers:
            list(writers.map(write, range(4)))
    finally:
        done.set()
        watcher.join()
    anchoring.move(wait=True)
    assert seen == sorted(seen)
    assert anchor.read().sequence == AuditHead.objects.get().sequence
    assert list(verify_log()) == []


def test_both_keys_can_be_changed_without_breaking_seals(doctor, settings):
    """The site's key first without one of the log's own, then with one; then the log's."""
    first = settings.SECRET_KEY
    settings.AUDIT_KEY = "the log's own key, from now on apart from the site's own"
    assert list(verify_log()) != []
    settings.AUDIT_KEY_FALLBACKS = [first]
    assert list(verify_log()) == []
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new key of the site", []
    recording.record_access(doctor, what="page")
    assert list(verify_log()) == []
    settings.AUDIT_KEY_FALLBACKS = [settings.AUDIT_KEY, first]
    settings.AUDIT_KEY = "the log's second own key, of the yearly change"
    recording.record_access(doctor, what="page")
    assert list(verify_log()) == []
    settings.SECRET_KEY = "another one: the key that signs sessions seals nothing"
    assert list(verify_log()) == []
    settings.AUDIT_KEY_FALLBACKS = []
    assert list(verify_log()) != []


def test_the_head_is_emailed(doctor, settings):
    settings.DEFAULT_FROM_EMAIL = "xraysite@localhost"
    verify("--mail", "audit@example.org", "--mail", "second@example.org")
    (sent,) = mail.outbox
    assert sent.to == ["audit@example.org", "second@example.org"]
    assert str(AuditHead.objects.get()) in sent.body


def test_the_head_is_sent_to_syslog(doctor, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        verify("--syslog", f"127.0.0.1:{server.getsockname()[1]}")
        assert str(AuditHead.objects.get()).encode() in server.recv(2000)
    for nowhere in (str(tmp_path / "none"), "localhost"):
        with pytest.raises(CommandError, match="its head was not kept"):
            verify("--syslog", nowhere)


def test_a_mail_server_that_refuses_is_an_error(doctor, monkeypatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("refused")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    with pytest.raises(CommandError, match=r"its head was not kept: email to a@example\.org"):
        verify("--mail", "a@example.org")


def test_migrating_records_new_kinds_only(doctor):
    before = AuditEntry.objects.count()
    anchoring.after_migrate(using="default", plan=[(None, True)])
    anchoring.after_migrate(using="default")
    assert AuditEntry.objects.count() == before


def test_an_account_inserted_by_hand_is_detected(doctor):
    names = [field.column for field in User._meta.concrete_fields if field.column != "id"]
    columns = ", ".join(names)
    copied = columns.replace("email", "'x@example.org'")
    execute(
        f"INSERT INTO accounts_user ({columns}) SELECT {copied} FROM accounts_user "  # noqa: S608
        "WHERE id = %s", doctor.pk,
    )  # fmt: skip
    (sentence,) = verify_log()
    assert "1 of 2 accounts.user objects" in sentence


def test_the_folder_of_the_anchor_is_made(settings, tmp_path):
    settings.AUDIT_ANCHOR = tmp_path / "new" / "folder" / "anchor"
    anchoring.place(reason="a test")
    assert list(settings.AUDIT_ANCHOR.parent.iterdir()) == [settings.AUDIT_ANCHOR]
    DoctorFactory()
    assert list(verify_log()) == []
