"""The admin's list of accounts, its queue of applications and the page that adds accounts."""

import pytest

from accounts import roles, services
from accounts.models import User
from tests.accounts.approval_steps import ACTS, page_of
from tests.accounts.sign_up_steps import anonymous_browser, sign_in
from tests.conftest import signed_in
from tests.factories import (
    PASSWORD,
    DoctorFactory,
    MLStaffFactory,
    SupervisorFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def test_queue_lists_the_oldest_application_first_with_a_badge(as_supervisor):
    waiting = [UserFactory(approval="PENDING", display_name=f"Applicant {n}") for n in (1, 2)]
    UserFactory(approval="PENDING", verified=False, display_name="Unproved")
    page = as_supervisor.get("/admin/accounts/user/?state=waiting")
    assert list(page.context["cl"].result_list) == waiting
    for address in ("/admin/", "/admin/accounts/user/", "/admin/diagnosis/reading/"):
        text = as_supervisor.get(address).content.decode()
        assert 'class="count-badge">2<' in text, address
    site = as_supervisor.get("/models/").content.decode()
    assert 'class="count-badge">2<' in site


@pytest.mark.parametrize("person", ["doctor", "ml_engineer"])
def test_badge_is_for_supervisors_only(person, request):
    UserFactory(approval="PENDING")
    browser = signed_in(request.getfixturevalue(person))
    assert "count-badge" not in browser.get("/models/").content.decode()
    assert "count-badge" not in browser.get("/admin/").content.decode()


def test_no_badge_without_pending_applications(as_supervisor):
    assert "count-badge" not in as_supervisor.get("/admin/").content.decode()


@pytest.mark.parametrize("state", ["waiting", "unverified", "approved", "rejected", "suspended"])
def test_list_is_filtered_by_state(state, as_supervisor):
    made = {"unverified": UserFactory(approval="PENDING", verified=False)}
    made |= {
        name: UserFactory(approval=value)
        for name, value in (
            ("waiting", "PENDING"), ("approved", "APPROVED"), ("rejected", "REJECTED"),
            ("suspended", "SUSPENDED"),
        )
    }  # fmt: skip
    listed = set(as_supervisor.get(f"/admin/accounts/user/?state={state}").context["cl"].queryset)
    assert made[state] in listed
    assert not listed & {user for name, user in made.items() if name != state}


def test_list_takes_the_same_number_of_queries_for_any_number_of_accounts(
    as_supervisor, django_assert_max_num_queries
):
    for _ in range(30):
        UserFactory(approval="PENDING")
    with django_assert_max_num_queries(20):
        as_supervisor.get("/admin/accounts/user/?state=waiting")


def test_supervisors_view_account_details_and_cannot_edit_them(as_supervisor):
    user = DoctorFactory(licence_number="L-4711", display_name="Lin")
    page = page_of(as_supervisor, user)
    assert "L-4711" in page
    assert "password" not in page.split("<main")[1].split("</main>")[0].lower()
    as_supervisor.post(
        f"/admin/accounts/user/{user.pk}/change/",
        {"email": "x@example.org", "display_name": "X", "is_superuser": "on"},
    )
    assert as_supervisor.get(f"/admin/accounts/user/{user.pk}/password/").status_code == 403
    assert as_supervisor.get("/admin/accounts/user/add/").status_code == 403
    assert as_supervisor.get(f"/admin/accounts/user/{user.pk}/delete/").status_code == 403
    user.refresh_from_db()
    assert (user.display_name, user.is_superuser) == ("Lin", False)


@pytest.mark.parametrize(("role", "is_staff"), [("doctor", False), ("supervisor", True)])
def test_superuser_creates_an_account(role, is_staff, root, active_model):
    browser = signed_in(root)
    response = browser.post(
        "/admin/accounts/user/add/",
        {
            "email": "Hand.Made@example.org", "display_name": "Wu", "hospital": "H",
            "department": "D", "licence_number": "", "role": role, "usable_password": "true",
            "password1": PASSWORD, "password2": PASSWORD,
        },
    )  # fmt: skip
    assert response.status_code == 302
    user = User.objects.get(email="hand.made@example.org")
    assert (user.approval, services.roles_of(user), user.is_staff) == ("APPROVED", [role], is_staff)
    page = page_of(browser, user)
    assert user.password not in page
    assert sign_in(anonymous_browser(), "hand.made@example.org").status_code == 302
    assert not User.objects.waiting().exists()


def test_add_account_page_asks_for_the_role(root):
    page = signed_in(root).get("/admin/accounts/user/add/").content.decode()
    for role in roles.PERMISSIONS:
        assert f'<option value="{role}"' in page


def test_new_superuser_can_enter_the_admin(root):
    user = DoctorFactory()
    answers = {"email": user.email, "display_name": user.display_name, "is_active": "on"}
    address = f"/admin/accounts/user/{user.pk}/change/"
    signed_in(root).post(address, answers | {"is_superuser": "on"})
    user.refresh_from_db()
    assert user.is_staff
    signed_in(root).post(address, answers)
    user.refresh_from_db()
    assert (user.is_superuser, user.is_staff) == (False, False)


def test_admin_shows_no_secrets_even_to_superusers(root):
    page = signed_in(root).get("/admin/").content.decode()
    for model in ("mfa/authenticator", "usersessions/usersession", "account/emailaddress"):
        assert f"/admin/{model}/" not in page


@pytest.mark.parametrize("role", [*roles.PERMISSIONS, "superuser", "none"])
def test_list_is_filtered_by_role(role, root):
    people = {
        "doctor": DoctorFactory(), "supervisor": SupervisorFactory(),
        "ml_staff": MLStaffFactory(), "superuser": root, "none": UserFactory(),
    }  # fmt: skip
    listed = signed_in(root).get(f"/admin/accounts/user/?role={role}").context["cl"].queryset
    assert list(listed) == [people[role]]


def test_email_address_changed_by_a_superuser_can_sign_in(root):
    user = DoctorFactory()
    browser = signed_in(root)
    response = browser.post(
        f"/admin/accounts/user/{user.pk}/change/",
        {
            "email": "New@example.org", "display_name": user.display_name, "hospital": "",
            "department": "", "licence_number": "", "language": "", "is_active": "on",
        },
    )  # fmt: skip
    assert response.status_code == 302, response.context["adminform"].form.errors
    client = anonymous_browser()
    sign_in(client, "new@example.org")
    assert "_auth_user_id" in client.session
    assert user.emailaddress_set.count() == 1


def test_superuser_created_on_the_command_line_can_sign_in():
    User.objects.create_superuser("root@example.org", PASSWORD, display_name="Root")
    browser = anonymous_browser()
    sign_in(browser, "root@example.org")
    assert "_auth_user_id" in browser.session


def test_admin_uses_the_sites_sign_in_page(client):
    response = client.get("/admin/login/?next=/admin/")
    assert response.headers["Location"].startswith("/accounts/login/")
    response = client.post("/admin/login/", {"username": "x", "password": "y"})
    assert response.headers["Location"].startswith("/accounts/login/")


def test_unknown_account_is_not_found(as_supervisor):
    for act in ACTS:
        assert as_supervisor.get(f"/admin/accounts/user/999999/{act}/").status_code == 404
