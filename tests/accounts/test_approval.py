"""Account decisions: who may take them, the state transitions and the effects."""

import threading

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection

from accounts import services
from accounts.audit.registry import EVENTS
from accounts.models import AuditEntry, User
from tests.accounts.approval_steps import ACTS, page_of
from tests.accounts.sign_up_steps import anonymous_browser, sign_in
from tests.conftest import signed_in
from tests.factories import (
    DoctorFactory,
    MLStaffFactory,
    SupervisorFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
STATES = User.Approval.values
ANSWERS = {
    "approve": {"role": "doctor"},
    "role": {"role": "doctor"},
    "reject": {"reason": "No such licence."},
    "suspend": {"reason": "Left the hospital."},
    "reinstate": {},
}
# The state after an action; an action that is not listed changes nothing.
LEADS_TO = {
    ("PENDING", "approve"): "APPROVED",
    ("PENDING", "reject"): "REJECTED",
    ("REJECTED", "approve"): "APPROVED",
    ("APPROVED", "suspend"): "SUSPENDED",
    ("SUSPENDED", "reinstate"): "APPROVED",
}


@pytest.fixture
def commits(transactional_db):
    """Commit transactions for real, so that `on_commit` callbacks run."""


def decide(browser, user, act, **changes):
    return browser.post(f"/admin/accounts/user/{user.pk}/{act}/", ANSWERS[act] | changes)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("act", ACTS)
def test_every_action_from_every_state(act, state, as_supervisor, supervisor):
    user = DoctorFactory(approval=state)
    address = f"/admin/accounts/user/{user.pk}/{act}/"
    # Changing the role keeps the state, and is offered for approved accounts.
    offered = (state, act) in LEADS_TO or (state, act) == ("APPROVED", "role")

    asked = as_supervisor.get(address)
    assert asked.status_code == (200 if offered else 302)
    assert (address in page_of(as_supervisor, user)) == offered
    user.refresh_from_db()
    assert user.approval == state, "a GET changed the state"

    assert decide(as_supervisor, user, act).status_code == 302
    user.refresh_from_db()
    after = LEADS_TO.get((state, act), state)
    assert user.approval == after
    if after != state:
        assert user.approval_decided_by == supervisor
        assert user.approval_decided_at is not None
        assert user.approval_reason == ANSWERS[act].get("reason", "")


@pytest.mark.parametrize(
    ("act", "start", "event", "english", "chinese"),
    [
        ("approve", "PENDING", "approved", "Your account has been approved", "您的帳號已核准"),
        ("reject", "PENDING", "rejected", "Your account was not approved", "您的帳號未獲核准"),
        ("suspend", "APPROVED", "suspended", "Your account has been suspended", "您的帳號已停用"),
        (
            "reinstate",
            "SUSPENDED",
            "reinstated",
            "Your account has been reinstated",
            "您的帳號已恢復",
        ),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh-hant", ""])
def test_decision_is_mailed_in_the_users_language_and_recorded(
    act, start, event, english, chinese, language, commits
):
    user = DoctorFactory(approval=start, language=language, display_name="O'Brien & Söhne")
    browser = signed_in(SupervisorFactory(email="boss@example.org"))
    mail.outbox.clear()
    decide(browser, user, act)
    (told,) = mail.outbox
    assert told.to == [user.email]
    assert (english if language == "en" else chinese) in told.subject
    assert "O'Brien & Söhne" in told.body
    assert ANSWERS[act].get("reason", "") in told.body
    if act in {"approve", "reinstate"}:
        assert "http://testserver/accounts/login/" in told.body
    row = AuditEntry.objects.filter(what=event, object_pk=str(user.pk)).first()
    assert row.actor_email == "boss@example.org"
    assert "approval" in row.changes
    assert row.additional_data.get("reason") == ANSWERS[act].get("reason")
    assert event in EVENTS


def test_approved_doctor_can_work_at_once(commits, active_model):
    user = UserFactory(approval="PENDING")
    decide(signed_in(SupervisorFactory()), user, "approve")
    browser = anonymous_browser()
    assert sign_in(browser, user.email).headers["Location"] == "/"
    assert browser.get("/readings/new/").status_code == 200


@pytest.mark.parametrize("reason", ["", "   "])
@pytest.mark.parametrize("act", ["reject", "suspend"])
def test_rejecting_and_suspending_need_a_reason(act, reason, as_supervisor, supervisor):
    user = DoctorFactory(approval="PENDING" if act == "reject" else "APPROVED")
    before = user.approval
    response = decide(as_supervisor, user, act, reason=reason)
    assert response.context["form"].errors["reason"]
    user.refresh_from_db()
    assert user.approval == before
    service = services.reject_account if act == "reject" else services.suspend_account
    with pytest.raises(ValueError, match="A reason is required"):
        service(by=supervisor, user=user, reason=reason)


def test_account_with_an_unverified_address_is_not_approved(as_supervisor):
    user = UserFactory(approval="PENDING", verified=False)
    response = as_supervisor.post(
        f"/admin/accounts/user/{user.pk}/approve/", {"role": "doctor"}, follow=True
    )
    assert "has not been verified yet" in response.content.decode()
    user.refresh_from_db()
    assert user.approval == "PENDING"


def test_nobody_decides_about_their_own_account(as_supervisor, supervisor, root):
    for browser, person in ((as_supervisor, supervisor), (signed_in(root), root)):
        for act in ACTS:
            response = browser.post(
                f"/admin/accounts/user/{person.pk}/{act}/", ANSWERS[act], follow=True
            )
            assert "You cannot review your own account" in response.content.decode()
        person.refresh_from_db()
        assert person.approval == "APPROVED"
        assert person.is_staff


def test_only_superusers_decide_about_superusers(as_supervisor, root):
    decide(as_supervisor, root, "suspend")
    root.refresh_from_db()
    assert root.approval == "APPROVED"
    other = UserFactory(is_staff=True, is_superuser=True)
    decide(signed_in(other), root, "suspend")
    root.refresh_from_db()
    assert root.approval == "SUSPENDED"


@pytest.mark.parametrize("role", ["supervisor", "ml_staff", "surgeon", ""])
def test_supervisors_can_only_grant_the_doctor_role(role, as_supervisor, supervisor):
    user = UserFactory(approval="PENDING")
    page = as_supervisor.get(f"/admin/accounts/user/{user.pk}/approve/").content.decode()
    assert 'value="supervisor"' not in page
    response = decide(as_supervisor, user, "approve", role=role)
    assert response.context["form"].errors["role"]
    with pytest.raises(PermissionDenied):
        services.approve_account(by=supervisor, user=user, role=role)
    user.refresh_from_db()
    assert (user.approval, user.groups.count(), user.is_staff) == ("PENDING", 0, False)


@pytest.mark.parametrize(
    ("role", "is_staff"), [("doctor", False), ("supervisor", True), ("ml_staff", True)]
)
def test_superusers_can_grant_any_role(role, is_staff, root):
    user = UserFactory(approval="PENDING")
    decide(signed_in(root), user, "approve", role=role)
    user.refresh_from_db()
    assert services.roles_of(user) == [role]
    assert user.is_staff == is_staff


def test_new_role_replaces_the_previous_one(root):
    user = SupervisorFactory()
    decide(signed_in(root), user, "role", role="doctor")
    user.refresh_from_db()
    assert services.roles_of(user) == ["doctor"]
    assert not user.is_staff
    assert signed_in(user).get("/admin/").headers["Location"] == "/admin/login/?next=/admin/"
    rows = AuditEntry.objects.filter(what="role-changed", object_pk=str(user.pk))
    assert any("groups" in row.changes for row in rows)


@pytest.mark.parametrize("act", ["role", "reinstate"])
def test_supervisors_cannot_change_another_supervisors_role(act, as_supervisor):
    other = SupervisorFactory(approval="APPROVED" if act == "role" else "SUSPENDED")
    before = other.approval
    decide(as_supervisor, other, act)
    other.refresh_from_db()
    assert (other.approval, services.roles_of(other)) == (before, ["supervisor"])


def test_supervisors_can_suspend_another_supervisor(as_supervisor):
    other = SupervisorFactory()
    decide(as_supervisor, other, "suspend")
    other.refresh_from_db()
    assert other.approval == "SUSPENDED"


@pytest.mark.parametrize("person", ["doctor", "ml_engineer"])
@pytest.mark.parametrize("act", ACTS)
def test_doctors_and_ml_staff_cannot_decide(act, person, request):
    state = next(state for state, its_act in [*LEADS_TO, ("APPROVED", "role")] if its_act == act)
    user = MLStaffFactory(approval=state)
    by = request.getfixturevalue(person)
    response = decide(signed_in(by), user, act)
    if person == "doctor":
        assert response.headers["Location"].startswith("/admin/login/?next=")
    else:
        assert response.status_code == 403
    service = {
        "approve": services.approve_account, "reject": services.reject_account,
        "suspend": services.suspend_account, "reinstate": services.reinstate_account,
        "role": services.change_role,
    }[act]  # fmt: skip
    with pytest.raises(PermissionDenied):
        service(by=by, user=user, **ANSWERS[act])
    user.refresh_from_db()
    assert (user.approval, services.roles_of(user)) == (state, ["ml_staff"])


def test_suspended_supervisor_cannot_decide(supervisor):
    browser = signed_in(supervisor)
    user = UserFactory(approval="PENDING")
    User.objects.filter(pk=supervisor.pk).update(approval="SUSPENDED")
    response = decide(browser, user, "approve")
    assert response.headers["Location"].startswith("/accounts/login/?next=")
    user.refresh_from_db()
    assert user.approval == "PENDING"


def test_same_decision_twice_changes_nothing_and_says_so(as_supervisor):
    user = UserFactory(approval="PENDING")
    second = signed_in(SupervisorFactory())
    second.get(f"/admin/accounts/user/{user.pk}/approve/")
    decide(as_supervisor, user, "approve")
    rows = AuditEntry.objects.filter(what="approved").count()
    address = f"/admin/accounts/user/{user.pk}/approve/"
    page = second.post(address, {"role": "doctor"}, follow=True).content.decode()
    assert "decided by" in page
    assert "Nothing was changed." in page
    assert AuditEntry.objects.filter(what="approved").count() == rows


def test_contradicting_decision_changes_nothing_and_says_so(as_supervisor):
    user = UserFactory(approval="PENDING")
    second = signed_in(SupervisorFactory())
    decide(as_supervisor, user, "approve")
    address = f"/admin/accounts/user/{user.pk}/reject/"
    page = second.post(address, {"reason": "No."}, follow=True).content.decode()
    assert "Current state of this account: Approved" in page
    user.refresh_from_db()
    assert (user.approval, user.approval_reason) == ("APPROVED", "")


def test_concurrent_decisions_leave_one_approval(commits):
    user = UserFactory(approval="PENDING")
    supervisors = [SupervisorFactory() for _ in range(6)]
    start = threading.Barrier(len(supervisors))
    outcomes: list[tuple[str, str]] = []

    def run(index: int) -> None:
        by = User.objects.get(pk=supervisors[index].pk)
        act = "approve" if index % 2 else "reject"
        start.wait(10)
        try:
            if act == "approve":
                decision = services.approve_account(by=by, user=user, role="doctor")
            else:
                decision = services.reject_account(by=by, user=user, reason="No.")
            outcomes.append((act, "changed" if decision.changed else "done before"))
        except services.DecisionRefusedError:
            outcomes.append((act, "refused"))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[i]) for i in range(len(supervisors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6
    # A rejected account can still be approved, but not the reverse.
    user.refresh_from_db()
    assert user.approval == "APPROVED"
    assert outcomes.count(("approve", "changed")) == 1
    assert outcomes.count(("approve", "done before")) == 2
    rejections = outcomes.count(("reject", "changed"))
    assert rejections <= 1
    assert len(mail.outbox) == 1 + rejections


def test_suspending_ends_every_session_immediately(commits, active_model):
    user = DoctorFactory()
    browsers = [anonymous_browser(), anonymous_browser()]
    for browser in browsers:
        sign_in(browser, user.email, remember="on")
        assert browser.get("/readings/").status_code == 200
    assert UserSession.objects.filter(user=user).count() == 2
    decide(signed_in(SupervisorFactory()), user, "suspend")
    assert not UserSession.objects.filter(user=user).exists()
    for browser in browsers:
        assert not Session.objects.filter(pk=browser.cookies["sessionid"].value).exists()
        assert browser.get("/readings/").headers["Location"].startswith("/accounts/login/")
    assert sign_in(anonymous_browser(), user.email).headers["Location"] == "/accounts/inactive/"
    services.reinstate_account(by=SupervisorFactory(), user=user)
    for browser in browsers:
        assert browser.get("/readings/").status_code == 302
    assert sign_in(anonymous_browser(), user.email).headers["Location"] == "/"


def test_account_suspended_between_password_and_code_is_not_signed_in(commits):
    from tests.accounts.test_two_factor import add_authenticator_app, code_of

    user = DoctorFactory()
    secret = add_authenticator_app(user)
    browser = anonymous_browser()
    assert sign_in(browser, user.email).headers["Location"] == "/accounts/2fa/authenticate/"
    services.suspend_account(by=SupervisorFactory(), user=user, reason="Left.")
    browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert "_auth_user_id" not in browser.session
    assert browser.get("/readings/").headers["Location"].startswith("/accounts/login/")


def test_mail_failure_keeps_the_decision_and_is_reported(commits, monkeypatch):
    user = UserFactory(approval="PENDING")
    browser = signed_in(SupervisorFactory())

    def refuse(self, messages):
        raise OSError("no route to host")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    address = f"/admin/accounts/user/{user.pk}/approve/"
    page = browser.post(address, {"role": "doctor"}, follow=True).content.decode()
    assert "has been approved" in page
    assert f"could not be sent. Please notify {user.email} yourself." in page
    user.refresh_from_db()
    assert user.approval == "APPROVED"


def test_no_mail_is_sent_if_the_decision_is_not_stored(commits, monkeypatch):
    user = UserFactory(approval="PENDING")

    def fail(*args, **kwargs):
        raise RuntimeError("the disk is full")

    by = SupervisorFactory()
    monkeypatch.setattr(User, "save", fail)
    with pytest.raises(RuntimeError, match="the disk is full"):
        services.approve_account(by=by, user=user, role="doctor")
    user.refresh_from_db()
    assert (user.approval, user.groups.count(), mail.outbox) == ("PENDING", 0, [])
