"""The audit log: its content, and detection of tampering."""

import getpass
import re
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from auditlog.context import auditlog_value, set_actor
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings

from accounts import roles, services
from accounts.audit import recording
from accounts.audit.models import AuditLogError
from accounts.audit.verify import verify_log
from accounts.models import AuditEntry, AuditHead, User
from tests.factories import PASSWORD, DoctorFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def log() -> list[AuditEntry]:
    """At least five rows of ordinary use outside any request, newest last."""
    auditlog_value.set(None)
    doctor = services.create_account(
        email="d@example.org", display_name="D", password=PASSWORD, role=roles.DOCTOR
    )
    recording.record_access(doctor, what="sign-in", by=doctor)
    recording.record_access(doctor, what="page", by=doctor, detail={"of": "陳小明", "score": 0.25})
    doctor.hospital = "H"
    doctor.save()
    return list(AuditEntry.objects.order_by("sequence"))


def altered(column: str) -> str:
    return f"UPDATE accounts_auditentry SET {column} = %s WHERE sequence = 4"  # noqa: S608


def by_hand(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def verify(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_audit", *arguments, stdout=out)
    return out.getvalue()


def test_a_log_of_ordinary_use_is_intact(log):
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
def test_only_the_altered_row_is_reported(log, column, value):
    by_hand(altered(column), value)
    out = StringIO()
    with pytest.raises(CommandError, match="is damaged"):
        call_command("verify_audit", stdout=out)
    named = {int(number) for number in re.findall(r"Row (\d+) \(", out.getvalue())}
    # A forged seal also breaks the link to the next row.
    assert named == ({4, 5} if column == "seal" else {4}), out.getvalue()


def test_a_replaced_account_is_reported(log):
    other = UserFactory()
    by_hand("UPDATE accounts_auditentry SET actor_id = %s WHERE sequence = 4", other.pk)
    assert len(found := list(verify_log())) == 1
    assert found[0].startswith("Row 4 ")
    assert "another account" in found[0]


@pytest.mark.parametrize("gone", [1, 3])
def test_a_removed_row_is_reported(log, gone):
    by_hand("DELETE FROM accounts_auditentry WHERE sequence = %s", gone)
    assert list(verify_log()) == [f"Row {gone} is missing."]


def test_rows_removed_at_the_end_are_reported(log):
    by_hand("DELETE FROM accounts_auditentry WHERE sequence >= 4")
    assert list(verify_log()) == [f"Rows 4 to {len(log)} are missing."]


def test_restoring_an_old_head_is_detected(log):
    by_hand("DELETE FROM accounts_auditentry WHERE sequence >= 4")
    by_hand("UPDATE accounts_audithead SET sequence = 3, seal = %s", log[2].seal)
    assert any("head of the log" in sentence for sentence in verify_log())


def test_emptying_the_log_is_detected(log):
    by_hand("DELETE FROM accounts_auditentry")
    by_hand("DELETE FROM accounts_audithead")
    assert any("emptied" in sentence for sentence in verify_log())


def test_a_restored_old_log_is_detected_with_a_recorded_head(log):
    old = AuditHead.objects.get()
    recording.record_access(User.objects.get(), what="film")
    noted = str(AuditHead.objects.get())
    assert "intact" in verify("--head", noted)
    by_hand("DELETE FROM accounts_auditentry WHERE sequence = %s", old.sequence + 1)
    by_hand(
        "UPDATE accounts_audithead SET sequence = %s, seal = %s, own_seal = %s",
        old.sequence, old.seal, old.own_seal,
    )  # fmt: skip
    assert list(verify_log()) == []
    with pytest.raises(CommandError, match="is damaged"):
        verify("--head", noted)


def test_an_inserted_row_is_reported(log):
    columns = ", ".join(
        field.column for field in AuditEntry._meta.concrete_fields
        if field.name not in {"id", "sequence"}
    )  # fmt: skip
    by_hand(
        f"INSERT INTO accounts_auditentry (sequence, {columns}) "  # noqa: S608
        f"SELECT {len(log) + 1}, {columns} FROM accounts_auditentry WHERE sequence = 4"
    )
    found = list(verify_log())
    assert any("inserted by hand" in sentence for sentence in found)
    assert all(sentence.startswith(f"Row {len(log) + 1} ") for sentence in found)


def test_swapped_rows_are_detected(log):
    by_hand("UPDATE accounts_auditentry SET sequence = 1003 WHERE sequence = 3")
    by_hand("UPDATE accounts_auditentry SET sequence = 3 WHERE sequence = 4")
    by_hand("UPDATE accounts_auditentry SET sequence = 4 WHERE sequence = 1003")
    named = {number for s in verify_log() for number in re.findall(r"^Row (\d+)", s)}
    assert {"3", "4"} <= named


def test_a_seal_cannot_be_forged_without_the_key(log):
    with override_settings(SECRET_KEY="another key, of somebody who has the database only"):
        recording.record_access(User.objects.get(), what="film")
    found = list(verify_log())
    assert any(f"Row {len(log) + 1} " in sentence for sentence in found)


def test_old_rows_stay_valid_after_a_key_change(log, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next key, which the site got in the yearly change"
    recording.record_access(User.objects.get(), what="film")
    assert list(verify_log()) == []
    settings.SECRET_KEY_FALLBACKS = []
    named = {int(number) for s in verify_log() for number in re.findall(r"^Row (\d+)", s)}
    assert named >= set(range(1, len(log) + 1))


def test_the_code_cannot_change_or_delete_rows(log):
    row = log[3]
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


def test_rows_outlive_their_account(log):
    doctor = User.objects.get()
    doctor.delete()
    rows = AuditEntry.objects.filter(what="sign-in")
    assert [(row.actor, row.actor_email, row.object_repr) for row in rows] == [
        (None, "d@example.org", "D")
    ]
    assert list(verify_log()) == []


def test_the_actor_who_deleted_their_own_account_is_still_named():
    root = User.objects.create_superuser("root@example.org", PASSWORD, display_name="Root")
    with set_actor(root):
        root.delete()
    row = AuditEntry.objects.latest("sequence")
    assert (row.what, row.actor, row.actor_email) == ("deleted", None, "root@example.org")
    assert row.actor_pk == int(row.object_pk)
    assert list(verify_log()) == []
    connection.check_constraints()


def test_a_change_that_is_undone_leaves_no_row_and_no_gap(log):
    with transaction.atomic():
        UserFactory()
        transaction.set_rollback(True)
    UserFactory()
    assert list(verify_log()) == []


def test_changes_of_a_service_carry_its_name_and_reason(log):
    doctor = User.objects.get()
    with recording.event("suspended", reason="left the hospital"):
        doctor.approval = User.Approval.SUSPENDED
        doctor.save()
    row = AuditEntry.objects.latest("sequence")
    assert row.what == "suspended"
    assert row.additional_data["reason"] == "left the hospital"
    assert row.changes == {"approval": ["APPROVED", "SUSPENDED"]}


def test_changes_on_the_console_name_the_system_user(log):
    by_nobody = [row.additional_data for row in log if row.actor is None]
    assert by_nobody
    assert {detail["console"] for detail in by_nobody} == {getpass.getuser()}


def test_a_failed_sign_in_records_the_account_but_no_password(client):
    doctor = DoctorFactory()
    for typed in (doctor.email, "nobody@example.org"):
        client.post("/accounts/login/", {"login": typed, "password": "my secret words"})
    rows = AuditEntry.objects.filter(what="sign-in-failed").order_by("sequence")
    assert [row.object_repr for row in rows] == [str(doctor), "nobody@example.org"]
    assert [row.object_pk for row in rows] == [str(doctor.pk), ""]
    assert all(row.remote_addr == "127.0.0.1" for row in rows)
    everything = "".join(str(vars(row)) for row in AuditEntry.objects.all())
    assert "my secret words" not in everything


def test_a_password_typed_as_the_address_is_not_kept(client):
    response = client.post("/accounts/login/", {"login": "my secret words", "password": "x"})
    assert "login" in response.context["form"].errors
    # The form prevents this, but other code that signs users in may not.
    authenticate(response.wsgi_request, username="my secret words", password="x")
    assert AuditEntry.objects.get(what="sign-in-failed").object_repr == "(not an e-mail address)"
    assert "my secret" not in "".join(str(vars(row)) for row in AuditEntry.objects.all())


@pytest.mark.parametrize("head", ["12", "x:" + "0" * 64, "12:abc"])
def test_an_invalid_head_is_refused(head):
    with pytest.raises(CommandError, match="A head looks like"):
        verify("--head", head)


@pytest.mark.django_db(transaction=True)
def test_concurrent_rows_form_one_chain():
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
