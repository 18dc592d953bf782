"""Signing in by e-mail, for approved accounts only."""

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


def test_approved_doctor_signs_in_and_is_greeted(client, active_model):
    doctor = DoctorFactory(display_name="王怡君")
    response = sign_in(client, doctor.email.upper())
    assert response.headers["Location"] == "/"
    page = client.get("/", headers={"accept-language": "en"}).content.decode()
    assert "Welcome, Dr" in page
    assert "王怡君" in page


def test_suspended_account_cannot_sign_in(client):
    user = DoctorFactory(approval=User.Approval.SUSPENDED)
    response = sign_in(client, user.email)
    assert response.headers["Location"] == "/accounts/inactive/"
    assert "_auth_user_id" not in client.session
    page = client.get("/accounts/inactive/", headers={"accept-language": "en"}).content.decode()
    assert "This account is suspended" in page
    assert client.get("/readings/").status_code == 302


@pytest.mark.parametrize("state", ["PENDING", "REJECTED"])
def test_account_without_approval_reaches_only_its_status_page(client, state):
    user = DoctorFactory(approval=state)
    assert sign_in(client, user.email).headers["Location"] == "/accounts/status/"
    assert client.get("/readings/").headers["Location"] == "/accounts/status/"


@pytest.mark.parametrize("email", ["nobody@example.org", None])
def test_wrong_password_and_unknown_address_give_the_same_error(client, email):
    user = DoctorFactory()
    response = sign_in(client, email or user.email, "wrong")
    errors = response.context["form"].errors.as_data()
    assert [e.code for e in errors["__all__"]] == ["email_password_mismatch"]


def test_suspending_ends_the_session_for_good(client):
    doctor = DoctorFactory()
    client.force_login(doctor)
    assert client.get("/readings/").status_code == 200
    User.objects.filter(pk=doctor.pk).update(approval=User.Approval.SUSPENDED)
    assert client.get("/readings/").headers["Location"].startswith("/accounts/login/")
    # The session does not revive with the account.
    User.objects.filter(pk=doctor.pk).update(approval=User.Approval.APPROVED)
    assert client.get("/readings/").status_code == 302


def test_sign_in_and_sign_out_are_recorded(client):
    doctor = DoctorFactory()
    sign_in(client, doctor.email)
    client.post("/accounts/logout/")
    rows = AuditEntry.objects.filter(what__startswith="sign").order_by("pk")
    assert [row.what for row in rows] == ["sign-in", "sign-out"]
    assert {row.actor for row in rows} == {doctor}


def test_passwords_are_not_recorded():
    user = UserFactory()
    user.set_password("another long one")
    user.save()
    rows = AuditEntry.objects.filter(object_pk=str(user.pk))
    assert rows.exists()
    for row in rows:
        assert "password" not in row.changes_dict
        assert user.password not in str(vars(row))


def test_sign_up_can_be_closed(client, settings):
    settings.SIGNUP_OPEN = False
    response = client.post("/accounts/signup/", {"email": "a@example.org", "password1": PASSWORD})
    assert "帳號由您的醫院提供" in response.content.decode()
    assert not User.objects.exists()


def test_email_address_is_unique():
    UserFactory(email="a@example.org")
    with pytest.raises(IntegrityError):
        UserFactory(email="A@example.org")


def test_account_needs_an_address_and_a_known_role():
    with pytest.raises(ValueError, match=r"Unknown role\. Received: 'surgeon'"):
        services.create_account(email="a@x.org", display_name="A", password="x", role="surgeon")
    with pytest.raises(ValueError, match="An email address is required"):
        User.objects.create_user("")


def test_migrations_create_the_roles():
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


def test_demo_accounts_are_for_local_mode_only(settings):
    settings.DEMO_ACCOUNTS = False
    with pytest.raises(CommandError, match="local"):
        call_command("create_demo_accounts")
    assert not User.objects.exists()


def test_profile_form_changes_only_ones_own_editable_fields(as_doctor, doctor, other_doctor):
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


def test_signing_in_sets_the_users_language(client):
    doctor = DoctorFactory(language="en")
    sign_in(client, doctor.email)
    assert client.cookies["django_language"].value == "en"
