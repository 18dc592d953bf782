"""The audit log: what it records, and how tampering is detected."""

import getpass
import re
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from io import StringIO

import pytest
from auditlog.context import auditlog_value, set_actor
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test import override_settings

from accounts import roles, services
from accounts.audit import recording
from accounts.audit.models import AuditLogError
from accounts.audit.verify import verify_log
from accounts.models import AuditEntry, AuditHead, AuditMention, User
from tests.factories import PASSWORD, DoctorFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def log() -> list[AuditEntry]:
    """At least seven entries from outside a request, newest last; the first two start the log."""
    auditlog_value.set(None)
    doctor = services.create_account(
        email="d@example.org", display_name="D", password=PASSWORD, role=roles.DOCTOR
    )
    recording.record_access(doctor, what="sign-in", by=doctor)
    recording.record_access(doctor, what="page", by=doctor, detail={"of": "陳小明", "score": 0.25})
    doctor.hospital = "H"
    doctor.save()
    return list(AuditEntry.objects.order_by("sequence"))


def update_of(column: str) -> str:
    return f"UPDATE accounts_auditentry SET {column} = %s WHERE sequence = 6"  # noqa: S608


def execute(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def verify(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_audit", *arguments, stdout=out)
    return out.getvalue()


def test_untouched_log_is_intact(log):
    said = verify()
    assert f"intact: {len(log)} rows" in said
    assert f"Head: {len(log)}:{log[-1].seal}" in said
    assert [row.sequence for row in log] == list(range(1, len(log) + 1))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("object_repr", "somebody else"),
        ("actor_email", "other@example.org"),
        ("remote_addr", "192.0.2.66"),
        ("timestamp", "2020-01-01 00:00:00"),
        ("what", "sign-out"),
        ("additional_data", '{"of": "nobody"}'),
        ("changes", '{"hospital": ["", "X"]}'),
        ("seal", "0" * 64),
        ("previous_seal", "0" * 64),
        ("actor_pk", None),
    ],
)
def test_tampered_entry_is_reported_and_no_other(log, column, value):
    execute(update_of(column), value)
    out = StringIO()
    with pytest.raises(CommandError, match="is damaged"):
        call_command("verify_audit", stdout=out)
    named = {int(number) for number in re.findall(r"Row (\d+) \(", out.getvalue())}
    # A forged seal also breaks the chain to the next entry.
    assert named == ({6, 7} if column == "seal" else {6}), out.getvalue()


def test_exchanged_account_is_reported(log):
    other = UserFactory()
    execute("UPDATE accounts_auditentry SET actor_id = %s WHERE sequence = 6", other.pk)
    assert len(found := list(verify_log())) == 1
    assert found[0].startswith("Row 6 ")
    assert "another account" in found[0]


@pytest.mark.parametrize("gone", [1, 4])
def test_missing_entry_is_reported(log, gone):
    execute("DELETE FROM accounts_auditentry WHERE sequence = %s", gone)
    assert list(verify_log()) == [f"Row {gone} is missing."]


def test_missing_entries_at_the_end_are_reported(log):
    execute("DELETE FROM accounts_auditentry WHERE sequence >= 6")
    assert list(verify_log()) == [f"Rows 6 to {len(log)} are missing."]


def test_truncating_log_and_head_is_detected(log):
    execute("DELETE FROM accounts_auditentry WHERE sequence >= 6")
    execute("UPDATE accounts_audithead SET sequence = 5, seal = %s", log[4].seal)
    assert any("head of the log" in sentence for sentence in verify_log())


def test_emptied_log_is_detected(log):
    execute("DELETE FROM accounts_auditentry")
    execute("DELETE FROM accounts_audithead")
    assert any("emptied" in sentence for sentence in verify_log())


def test_restored_old_copy_is_detected_by_a_head_kept_elsewhere(log):
    old = AuditHead.objects.get()
    recording.record_access(User.objects.get(), what="film")
    noted = str(AuditHead.objects.get())
    assert "intact" in verify("--head", noted)
    execute("DELETE FROM accounts_auditentry WHERE sequence = %s", old.sequence + 1)
    execute(
        "UPDATE accounts_audithead SET sequence = %s, seal = %s, own_seal = %s",
        old.sequence, old.seal, old.own_seal,
    )  # fmt: skip
    assert list(verify_log()) == []
    with pytest.raises(CommandError, match="is damaged"):
        verify("--head", noted)


def test_inserted_entry_is_reported(log):
    columns = ", ".join(
        field.column for field in AuditEntry._meta.concrete_fields
        if field.name not in {"id", "sequence"}
    )  # fmt: skip
    execute(
        f"INSERT INTO accounts_auditentry (sequence, {columns}) "  # noqa: S608
        f"SELECT {len(log) + 1}, {columns} FROM accounts_auditentry WHERE sequence = 6"
    )
    found = list(verify_log())
    assert any("inserted by hand" in sentence for sentence in found)
    assert all(sentence.startswith(f"Row {len(log) + 1} ") for sentence in found)


def test_swapped_entries_are_detected(log):
    execute("UPDATE accounts_auditentry SET sequence = 1003 WHERE sequence = 3")
    execute("UPDATE accounts_auditentry SET sequence = 3 WHERE sequence = 6")
    execute("UPDATE accounts_auditentry SET sequence = 6 WHERE sequence = 1003")
    named = {number for s in verify_log() for number in re.findall(r"^Row (\d+)", s)}
    assert {"3", "6"} <= named


def test_seal_cannot_be_forged_without_the_key(log):
    with override_settings(SECRET_KEY="another key, of somebody who has the database only"):
        recording.record_access(User.objects.get(), what="film")
    found = list(verify_log())
    assert any(f"Row {len(log) + 1} " in sentence for sentence in found)


def test_entries_stay_valid_after_a_key_rotation(log, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next key, which the site got in the yearly change"
    recording.record_access(User.objects.get(), what="film")
    assert list(verify_log()) == []
    settings.SECRET_KEY_FALLBACKS = []
    named = {int(number) for s in verify_log() for number in re.findall(r"^Row (\d+)", s)}
    assert named >= set(range(1, len(log) + 1))


def test_entries_cannot_be_changed_or_deleted_through_the_orm(log):
    row = log[5]
    for attempt in (
        row.save,
        row.delete,
        AuditEntry.objects.all().delete,
        AuditEntry.objects.filter(pk=row.pk).delete,
        lambda: AuditEntry.objects.update(what="x"),
        lambda: AuditEntry.objects.bulk_update([row], ["what"]),
        lambda: AuditEntry.objects.bulk_create([AuditEntry(what="x")]),
    ):
        with pytest.raises(AuditLogError):
            attempt()
    assert list(verify_log()) == []


def test_entries_outlive_the_account_they_are_about(log):
    doctor = User.objects.get()
    doctor.delete()
    rows = AuditEntry.objects.filter(what="sign-in")
    assert [(row.actor, row.actor_email, row.object_repr) for row in rows] == [
        (None, "d@example.org", "D")
    ]
    assert list(verify_log()) == []


def test_deleting_ones_own_account_is_recorded_with_its_name():
    root = User.objects.create_superuser("root@example.org", PASSWORD, display_name="Root")
    with set_actor(root):
        root.delete()
    row = AuditEntry.objects.latest("sequence")
    assert (row.what, row.actor, row.actor_email) == ("deleted", None, "root@example.org")
    assert row.actor_pk == int(row.object_pk)
    assert list(verify_log()) == []
    connection.check_constraints()


def test_rolled_back_change_leaves_no_entry_and_no_gap(log):
    with transaction.atomic():
        UserFactory()
        transaction.set_rollback(True)
    UserFactory()
    assert list(verify_log()) == []


def test_changes_by_a_service_carry_its_event_and_reason(log):
    doctor = User.objects.get()
    with recording.event("suspended", reason="left the hospital"):
        doctor.approval = User.Approval.SUSPENDED
        doctor.save()
    row = AuditEntry.objects.latest("sequence")
    assert row.what == "suspended"
    assert row.additional_data["reason"] == "left the hospital"
    assert row.changes == {"approval": ["APPROVED", "SUSPENDED"]}


def test_command_line_changes_carry_the_system_user(log):
    by_nobody = [row.additional_data for row in log if row.actor is None]
    assert by_nobody
    assert {detail["console"] for detail in by_nobody} == {getpass.getuser()}


def test_failed_sign_in_records_the_account_and_no_password(client):
    doctor = DoctorFactory()
    for typed in (doctor.email, "nobody@example.org"):
        client.post("/accounts/login/", {"login": typed, "password": "my secret words"})
    rows = AuditEntry.objects.filter(what="sign-in-failed").order_by("sequence")
    assert [row.object_repr for row in rows] == [str(doctor), "nobody@example.org"]
    assert [row.object_pk for row in rows] == [str(doctor.pk), ""]
    assert all(row.remote_addr == "127.0.0.1" for row in rows)
    everything = "".join(str(vars(row)) for row in AuditEntry.objects.all())
    assert "my secret words" not in everything


def test_password_typed_into_the_email_field_is_not_recorded(client):
    response = client.post("/accounts/login/", {"login": "my secret words", "password": "x"})
    assert "login" in response.context["form"].errors
    # The form refuses it. Other callers of `authenticate` may not.
    authenticate(response.wsgi_request, username="my secret words", password="x")
    assert AuditEntry.objects.get(what="sign-in-failed").object_repr == "(not an e-mail address)"
    assert "my secret" not in "".join(str(vars(row)) for row in AuditEntry.objects.all())


@pytest.mark.parametrize("head", ["12", "x:" + "0" * 64, "12:abc"])
def test_invalid_head_is_refused(head):
    with pytest.raises(CommandError, match="A head looks like"):
        verify("--head", head)


@pytest.mark.django_db(transaction=True)
def test_concurrent_entries_form_one_chain():
    doctor = UserFactory()
    before = AuditEntry.objects.count()

    def write(number: int) -> None:
        try:
            for _ in range(10):
                recording.record_access(doctor, what="film", by=doctor, detail={"writer": number})
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    assert AuditEntry.objects.count() == before + 40
    assert list(verify_log()) == []


def test_lists_recorded_before_the_index_are_found(doctor):
    keys = ["a" * 36, "b" * 36]
    entry = recording.record_event(User, what="admin list", about="*", detail={"readings": keys})
    recording.record_event(User, what="access-searched", about="*", detail={"readings": 3})
    assert len(list(verify_log())) == 1
    migration = import_module("accounts.migrations.0009_audit_mentions")
    state = MigrationExecutor(connection).loader.project_state(("accounts", "0009_audit_mentions"))
    migration.index_earlier_lists(state.apps, None)
    assert list(verify_log()) == []
    found = AuditMention.objects.filter(object_pk__in=keys).values_list("entry_id", flat=True)
    assert list(found) == [entry.pk, entry.pk]


def test_a_long_list_is_several_sealed_rows(doctor, monkeypatch):
    monkeypatch.setattr(recording, "MAX_SHOWN", 2)
    recording.record_shown(User, [1, 2, 3, 3], what="list")
    rows = AuditEntry.objects.filter(what="list").order_by("sequence")
    assert [row.shown_keys for row in rows] == [["1", "2"], ["3", "3"]]
    assert AuditMention.objects.count() == 3
    assert list(verify_log()) == []
