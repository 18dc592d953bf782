"""Signing in: by email address, for approved accounts only."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts import roles, services
from accounts.models import AuditEntry, User
from tests.factories import PASSWORD, DoctorFactory, UserFactory

pytestmark = pytest.mark.django_db


def sign_in(client, email: str, password: str = PASSWORD):
    return client.post("/accounts/login/", {"login": email, "password": password})


def test_an_approved_doctor_can_sign_in_and_is_greeted(client, active_model):
    doctor = DoctorFactory(display_name="王怡君")
    response = sign_in(client, doctor.email.upper())
    assert response.headers["Location"] == "/"
    page = client.get("/", headers={"accept-language": "en"}).content.decode()
    assert "Welcome, Dr" in page
    assert "王怡君" in page


def test_a_suspended_account_cannot_sign_in(client):
    user = DoctorFactory(approval=User.Approval.SUSPENDED)
    response = sign_in(client, user.email)
    assert response.headers["Location"] == "/accounts/inactive/"
    assert "_auth_user_id" not in client.session
    page = client.get("/accounts/inactive/", headers={"accept-language": "en"}).content.decode()
    assert "This account is suspended" in page
    assert client.get("/readings/").status_code == 302


@pytest.mark.parametrize("state", ["PENDING", "REJECTED"])
def test_an_unapproved_account_only_sees_its_status_page(client, state):
    user = DoctorFactory(approval=state)
    assert sign_in(client, user.email).headers["Location"] == "/accounts/status/"
    assert client.get("/readings/").headers["Location"] == "/accounts/status/"


@pytest.mark.parametrize("email", ["nobody@example.org", None])
def test_a_wrong_password_and_an_unknown_address_look_the_same(client, email):
    user = DoctorFactory()
    response = sign_in(client, email or user.email, "wrong")
    errors = response.context["form"].errors.as_data()
    assert [e.code for e in errors["__all__"]] == ["email_password_mismatch"]


def test_suspending_ends_a_session_at_once(client):
    doctor = DoctorFactory()
    client.force_login(doctor)
    assert client.get("/readings/").status_code == 200
    User.objects.filter(pk=doctor.pk).update(approval=User.Approval.SUSPENDED)
    assert client.get("/readings/").headers["Location"].startswith("/accounts/login/")
    # The session has ended, and is not restored with the account.
    User.objects.filter(pk=doctor.pk).update(approval=User.Approval.APPROVED)
    assert client.get("/readings/").status_code == 302


def test_signing_in_and_out_is_audited(client):
    doctor = DoctorFactory()
    sign_in(client, doctor.email)
    client.post("/accounts/logout/")
    rows = AuditEntry.objects.filter(action=AuditEntry.Action.ACCESS).order_by("pk")
    assert [row.what for row in rows] == ["sign-in", "sign-out"]
    assert {row.actor for row in rows} == {doctor}


def test_no_password_is_audited():
    user = UserFactory()
    user.set_password("another long one")
    user.save()
    rows = AuditEntry.objects.filter(object_pk=str(user.pk))
    assert rows.exists()
    for row in rows:
        assert "password" not in row.changes_dict
        assert user.password not in str(vars(row))


def test_a_hospital_can_close_the_sign_up(client, settings):
    settings.SIGNUP_OPEN = False
    response = client.post("/accounts/signup/", {"email": "a@example.org", "password1": PASSWORD})
    assert "帳號由您的醫院提供" in response.content.decode()
    assert not User.objects.exists()


def test_an_address_belongs_to_one_account():
    UserFactory(email="a@example.org")
    with pytest.raises(IntegrityError):
        UserFactory(email="A@example.org")


def test_a_person_without_name_or_role_is_refused():
    with pytest.raises(ValueError, match=r"Unknown role\. Received: 'surgeon'"):
        services.create_account(email="a@x.org", display_name="A", password="x", role="surgeon")
    with pytest.raises(ValueError, match="An email address is required"):
        User.objects.create_user("")


def test_roles_exist_after_migrating():
    for role, permissions in roles.PERMISSIONS.items():
        held = Group.objects.get(name=role).permissions.values_list(
            "content_type__app_label", "content_type__model", "codename"
        )
        assert set(held) == set(permissions)


def test_demo_accounts_are_created_once(capsys, settings):
    call_command("create_demo_accounts")
    first = capsys.readouterr().out
    call_command("create_demo_accounts")
    again = capsys.readouterr().out
    assert User.objects.count() == 4
    password = next(line.split()[-1] for line in first.splitlines() if "doctor@" in line)
    assert User.objects.get(email="doctor@example.org").check_password(password)
    assert again.count("(password unchanged)") == 4
    assert "changepassword" in again


def test_demo_accounts_exist_in_local_mode_only(settings):
    settings.DEMO_ACCOUNTS = False
    with pytest.raises(CommandError, match="local"):
        call_command("create_demo_accounts")
    assert not User.objects.exists()


def test_the_profile_changes_only_the_users_own_account(as_doctor, doctor, other_doctor):
    changed = {"display_name": "王醫師", "hospital": "H", "department": "", "language": "en"}
    response = as_doctor.post(
        "/accounts/profile/", changed | {"email": "x@x.org", "is_staff": "on", "approval": "X"}
    )
    assert response.status_code == 302
    assert response.cookies["django_language"].value == "en"
    before = doctor.email
    doctor.refresh_from_db()
    assert (doctor.display_name, doctor.hospital) == ("王醫師", "H")
    assert (doctor.email, doctor.is_staff, doctor.approval) == (before, False, "APPROVED")


def test_the_profile_language_applies_after_sign_in(client):
    doctor = DoctorFactory(language="en")
    sign_in(client, doctor.email)
    assert client.cookies["django_language"].value == "en"
