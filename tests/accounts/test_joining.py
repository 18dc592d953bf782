"""Registration: sign-up, address verification, and no access until the account is approved."""

import smtplib

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.urls import NoReverseMatch, reverse

from accounts import avatars
from accounts.middleware import OPEN_WITHOUT_APPROVAL
from accounts.models import AuditEntry, User
from tests.accounts.joining_steps import (
    APPLICANT,
    applicant,
    link_in,
    sign_in,
    sign_up,
    stranger,
    verify,
)
from tests.conftest import signed_in, upload_of
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory, UserFactory
from tests.films import draw_film, encode
from tests.site_urls import named_patterns

pytestmark = pytest.mark.django_db


@pytest.fixture
def laboured(monkeypatch) -> list[str]:
    """Record each password hash and each re-encoded picture, which dominate the response time."""
    seen: list[str] = []
    encode, reencode = MD5PasswordHasher.encode, avatars.reencode

    def hashing(self, password, salt):
        seen.append("hashed")
        return encode(self, password, salt)

    def drawing(data):
        seen.append("drawn")
        return reencode(data)

    monkeypatch.setattr(MD5PasswordHasher, "encode", hashing)
    monkeypatch.setattr(avatars, "reencode", drawing)
    return seen


@pytest.fixture
def dead_mail_server(monkeypatch):
    def refuse(self, messages):
        raise smtplib.SMTPServerDisconnected("nobody answers")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)


def test_signing_up_verifying_and_waiting():
    browser = stranger()
    response = sign_up(browser)
    assert response.headers["Location"] == "/accounts/confirm-email/"
    assert "Check your inbox" in browser.get("/accounts/confirm-email/").content.decode()
    user = User.objects.get()
    for name in ("display_name", "email", "hospital", "department", "licence_number"):
        assert getattr(user, name) == APPLICANT[name]
    assert (user.language, user.approval, user.is_staff) == ("en", "PENDING", False)
    assert not user.groups.exists()
    assert not User.objects.waiting().exists()

    assert verify(browser).headers["Location"] == "/accounts/status/"
    assert list(User.objects.waiting()) == [user]
    page = browser.get("/accounts/status/").content.decode()
    assert "Your account is awaiting approval" in page
    assert "臺北市立聯合醫院" in page
    assert 'class="sidebar"' not in page


def test_signing_in_before_verification_resends_the_link():
    sign_up(stranger())
    browser = stranger()
    response = sign_in(browser, APPLICANT["email"])
    assert response.headers["Location"] == "/accounts/confirm-email/"
    assert "_auth_user_id" not in browser.session
    assert len(mail.outbox) == 2
    # In another browser than the one that signed up, the link verifies but does not sign in.
    assert verify(stranger()).headers["Location"] == "/accounts/login/"
    assert sign_in(browser, APPLICANT["email"]).headers["Location"] == "/accounts/status/"


def test_opening_the_emailed_link_by_get_verifies_nothing():
    sign_up(stranger())
    stranger().get(link_in(mail.outbox[0]))
    assert not EmailAddress.objects.filter(verified=True).exists()


@pytest.mark.parametrize("name", ["display_name", "email", "password1", "hospital", "department"])
def test_required_fields_are_enforced(name):
    response = sign_up(stranger(), **{name: ""})
    assert response.status_code == 200
    assert name in response.context["form"].errors
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("password", "why"),
    [("short", "too short"), ("password1234", "too common"), ("837261948372", "entirely numeric")],
)
def test_a_weak_password_shows_an_error(password, why):
    response = sign_up(stranger(), password1=password, password2=password)
    assert why in str(response.context["form"].errors["password1"])
    assert not User.objects.exists()


def test_a_mistyped_password_is_refused():
    response = sign_up(stranger(), password2="another long one")
    assert "password2" in response.context["form"].errors


def test_an_applicant_cannot_approve_themselves():
    sign_up(
        stranger(), approval="APPROVED", is_staff="on", is_superuser="on", groups="1", verified="on"
    )
    user = User.objects.get()
    assert (user.approval, user.is_staff, user.is_superuser) == ("PENDING", False, False)


@pytest.mark.parametrize(
    ("language", "stored", "subject"),
    [("en", "en", "Verify your e-mail address"), ("zh-TW", "zh-hant", "驗證您的信箱")],
)
def test_the_mail_and_the_account_are_in_the_language_of_the_form(language, stored, subject):
    sign_up(stranger(language))
    assert User.objects.get().language == stored
    assert mail.outbox[0].subject == f"[xraysite] {subject}"
    assert ("您好" in mail.outbox[0].body) == (stored == "zh-hant")


def test_the_email_to_an_unverified_address_contains_no_user_input():
    sign_up(stranger(), display_name="Buy at http://evil.example")
    assert "evil" not in mail.outbox[0].body + mail.outbox[0].subject


def test_supervisors_are_notified_in_their_language_after_verification():
    SupervisorFactory(email="a@example.org", language="en")
    SupervisorFactory(email="b@example.org", language="zh-hant")
    SupervisorFactory(email="c@example.org", approval=User.Approval.SUSPENDED)
    DoctorFactory(email="d@example.org")
    browser = stranger()
    sign_up(browser, display_name="Chen\nBcc: x@example.org")
    assert [m.to for m in mail.outbox] == [[APPLICANT["email"]]]
    verify(browser)
    told = {m.to[0]: m for m in mail.outbox[1:]}
    assert set(told) == {"a@example.org", "b@example.org"}
    assert "Account awaiting approval: Chen Bcc" in told["a@example.org"].subject
    assert "有帳號等待核准" in told["b@example.org"].subject
    assert f"/admin/accounts/user/{User.objects.get(email=APPLICANT['email']).pk}/" in (
        told["a@example.org"].body
    )


def test_another_address_of_an_applicant_is_not_a_second_application():
    SupervisorFactory(email="a@example.org")
    browser = stranger()
    user = applicant(browser)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    browser.post("/accounts/email/", {"email": "new@example.org", "action_add": ""})
    sent = len(mail.outbox)
    verify(browser)
    user.refresh_from_db()
    assert user.email == "new@example.org"
    assert ["a@example.org"] not in [m.to for m in mail.outbox[sent:]]


def test_an_address_with_an_account_gets_the_same_response_in_the_same_time(laboured):
    DoctorFactory(email=APPLICANT["email"], language="en")
    known, unknown = stranger(), stranger()
    drawn = draw_film("NORMAL", seed=1, size=300)
    answers = []
    for browser, email in ((known, APPLICANT["email"]), (unknown, "unknown@example.org")):
        laboured.clear()
        response = sign_up(browser, email=email, picture=upload_of(encode(drawn, "png")))
        page = browser.get(response.headers["Location"])
        answers.append(
            (response.status_code, response.headers["Location"], sorted(laboured),
             page.content.decode().replace(email, ""))
        )  # fmt: skip
    assert len(mail.outbox) == 2
    assert answers[0][:3] == answers[1][:3]
    assert answers[0][2] == ["drawn", "drawn", "hashed"]
    without_tokens = [
        "".join(line for line in page.splitlines() if "csrfmiddlewaretoken" not in line)
        for *_, page in answers
    ]
    assert without_tokens[0] == without_tokens[1]
    assert User.objects.count() == 2
    # Only the owner is told.
    assert mail.outbox[0].subject == "[xraysite] You already have an account"
    assert "/accounts/password/reset/" in mail.outbox[0].body


@pytest.mark.parametrize("state", User.Approval.values)
def test_a_wrong_password_looks_the_same_for_every_account(laboured, state):
    user = DoctorFactory(approval=state)
    pages = []
    for email in (user.email, "nobody@example.org"):
        laboured.clear()
        browser = stranger()
        response = sign_in(browser, email, "a wrong password")
        pages.append((response.status_code, list(laboured), str(response.context["form"].errors)))
    assert pages[0] == pages[1]
    assert pages[0][:2] == (200, ["hashed"])


def test_concurrent_sign_ups_with_one_address_create_one_account(monkeypatch):
    """Both forms pass validation before either account is stored; only one is stored."""
    UserFactory(email=APPLICANT["email"])
    monkeypatch.setattr(
        "allauth.account.internal.flows.manage_email.assess_unique_email", lambda *a, **k: True
    )
    assert sign_up(stranger()).headers["Location"] == "/accounts/confirm-email/"
    assert User.objects.count() == 1
    assert mail.outbox[0].subject == "[xraysite] 您已有帳號"


def test_a_mail_failure_keeps_the_application(dead_mail_server):
    browser = stranger()
    page = sign_up(browser)
    assert page.headers["Location"] == "/accounts/confirm-email/"
    assert "The email could not be sent" in browser.get(page.headers["Location"]).content.decode()
    assert User.objects.filter(email=APPLICANT["email"]).exists()


def test_a_mail_failure_does_not_prevent_verification(request):
    SupervisorFactory()
    browser = stranger()
    sign_up(browser)
    link = mail.outbox[0]
    request.getfixturevalue("dead_mail_server")
    assert verify(browser, link).headers["Location"] == "/accounts/status/"
    assert User.objects.waiting().count() == 1


def test_an_unverified_address_of_another_account_is_not_taken_over():
    squatter = User.objects.create_user("mine@example.org", PASSWORD, display_name="S")
    owner = DoctorFactory()
    browser = signed_in(owner)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    browser.post("/accounts/email/", {"email": "mine@example.org", "action_add": ""})
    assert verify(browser).status_code == 302
    owner.refresh_from_db()
    squatter.refresh_from_db()
    assert owner.email != "mine@example.org"
    assert squatter.email == "mine@example.org"
    assert not EmailAddress.objects.filter(email="mine@example.org", verified=True).exists()


def test_signing_up_leaves_a_row_without_the_password():
    sign_up(stranger())
    row = AuditEntry.objects.get(object_pk=str(User.objects.get().pk), what="created")
    assert PASSWORD not in str(row.changes)
    assert row.remote_addr == "127.0.0.1"


def walled_in(state: str):
    user = DoctorFactory(approval=state)
    return user, signed_in(user)


@pytest.mark.parametrize("state", ["PENDING", "REJECTED"])
def test_all_other_urls_redirect_applicants_to_the_status_page(state, active_model):
    _, browser = walled_in(state)
    tried = 0
    for name, _pattern in named_patterns():
        try:
            address = reverse(name)
        except NoReverseMatch:
            continue
        for method in (browser.get, browser.post):
            if name == "account_logout":
                continue
            response = method(address)
            tried += 1
            if name in OPEN_WITHOUT_APPROVAL:
                assert response.headers.get("Location") != "/accounts/status/", name
            else:
                assert response.headers.get("Location") == "/accounts/status/", name
    assert tried > 60


def test_object_urls_are_closed_to_applicants_too(reading):
    _, browser = walled_in("PENDING")
    for path in ("", "film/", "heatmap/", "report/", "edit/", "delete/"):
        response = browser.get(f"/readings/{reading.pk}/{path}")
        assert response.headers["Location"] == "/accounts/status/"
    assert browser.get("/models/pneumonia-2/").headers["Location"] == "/accounts/status/"


def test_all_urls_open_to_applicants_exist():
    assert {name for name, _ in named_patterns()} >= OPEN_WITHOUT_APPROVAL


def test_a_pending_supervisor_has_no_access():
    user = UserFactory(approval="PENDING", is_staff=True, is_superuser=True)
    browser = signed_in(user)
    assert browser.get("/admin/").headers["Location"] == "/accounts/status/"
    browser.force_login(SupervisorFactory(approval="REJECTED"))
    assert browser.get("/admin/accounts/user/").headers["Location"] == "/accounts/status/"


def test_a_pending_account_has_no_permissions():
    assert DoctorFactory().has_perm("diagnosis.add_reading")
    for state in ("PENDING", "REJECTED", "SUSPENDED"):
        assert DoctorFactory(approval=state).get_all_permissions() == set()


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "Your account was not approved"), ("zh-TW", "您的帳號未獲核准")],
)
def test_a_rejected_applicant_sees_the_reason(language, words):
    user = UserFactory(approval="REJECTED", approval_reason="No such <licence>.")
    browser = stranger(language)
    browser.force_login(user)
    page = browser.get("/accounts/status/").content.decode()
    assert words in page
    assert "No such &lt;licence&gt;." in page


def test_an_applicant_can_still_sign_out_and_change_language():
    _, browser = walled_in("PENDING")
    response = browser.post("/i18n/set/", {"language": "zh-hant", "next": "/accounts/status/"})
    assert response.headers["Location"] == "/accounts/status/"
    assert "您的帳號正在等待核准" in browser.get("/accounts/status/").content.decode()
    browser.post("/accounts/logout/")
    assert "_auth_user_id" not in browser.session


def test_an_approved_doctor_has_no_status_page(as_doctor):
    assert as_doctor.get("/accounts/status/").headers["Location"] == "/"
