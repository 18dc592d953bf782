"""Sign-up, address verification, and what a pending account may do."""

import smtplib

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.urls import NoReverseMatch, reverse

from accounts import avatars
from accounts.middleware import OPEN_WITHOUT_APPROVAL
from accounts.models import AuditEntry, User
from tests.accounts.sign_up_steps import (
    APPLICANT,
    anonymous_browser,
    applicant,
    link_in,
    sign_in,
    sign_up,
    verify,
)
from tests.conftest import signed_in, upload_of
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory, UserFactory
from tests.films import encode, synthetic_film
from tests.site_urls import named_patterns

pytestmark = pytest.mark.django_db


@pytest.fixture
def expensive_calls(monkeypatch) -> list[str]:
    """List each password hashed and each picture re-encoded, which take most of the time."""
    seen: list[str] = []
    encode, reencode = MD5PasswordHasher.encode, avatars.reencode

    def hashing(self, password, salt):
        seen.append("hashed")
        return encode(self, password, salt)

    def reencoding(data):
        seen.append("re-encoded")
        return reencode(data)

    monkeypatch.setattr(MD5PasswordHasher, "encode", hashing)
    monkeypatch.setattr(avatars, "reencode", reencoding)
    return seen


@pytest.fixture
def failing_mail_server(monkeypatch):
    def refuse(self, messages):
        raise smtplib.SMTPServerDisconnected("nobody answers")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)


def test_sign_up_verification_and_pending_status():
    browser = anonymous_browser()
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


def test_signing_in_before_verification_sends_the_link_again():
    sign_up(anonymous_browser())
    browser = anonymous_browser()
    response = sign_in(browser, APPLICANT["email"])
    assert response.headers["Location"] == "/accounts/confirm-email/"
    assert "_auth_user_id" not in browser.session
    assert len(mail.outbox) == 2
    # In another browser than the one that signed up, the link verifies without signing in.
    assert verify(anonymous_browser()).headers["Location"] == "/accounts/login/"
    assert sign_in(browser, APPLICANT["email"]).headers["Location"] == "/accounts/status/"


def test_opening_the_verification_link_does_not_verify_yet():
    sign_up(anonymous_browser())
    anonymous_browser().get(link_in(mail.outbox[0]))
    assert not EmailAddress.objects.filter(verified=True).exists()


@pytest.mark.parametrize("name", ["display_name", "email", "password1", "hospital", "department"])
def test_required_fields_are_required(name):
    response = sign_up(anonymous_browser(), **{name: ""})
    assert response.status_code == 200
    assert name in response.context["form"].errors
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("password", "why"),
    [("short", "too short"), ("password1234", "too common"), ("837261948372", "entirely numeric")],
)
def test_weak_password_is_refused_with_the_reason(password, why):
    response = sign_up(anonymous_browser(), password1=password, password2=password)
    assert why in str(response.context["form"].errors["password1"])
    assert not User.objects.exists()


def test_mismatched_passwords_are_refused():
    response = sign_up(anonymous_browser(), password2="another long one")
    assert "password2" in response.context["form"].errors


def test_sign_up_form_cannot_set_approval_or_roles():
    sign_up(
        anonymous_browser(),
        approval="APPROVED",
        is_staff="on",
        is_superuser="on",
        groups="1",
        verified="on",
    )
    user = User.objects.get()
    assert (user.approval, user.is_staff, user.is_superuser) == ("PENDING", False, False)


@pytest.mark.parametrize(
    ("language", "stored", "subject"),
    [("en", "en", "Verify your email address"), ("zh-TW", "zh-hant", "驗證您的信箱")],
)
def test_mail_and_account_use_the_language_of_the_form(language, stored, subject):
    sign_up(anonymous_browser(language))
    assert User.objects.get().language == stored
    assert mail.outbox[0].subject == f"[xraysite] {subject}"
    assert ("您好" in mail.outbox[0].body) == (stored == "zh-hant")


def test_verification_mail_contains_nothing_the_applicant_wrote():
    sign_up(anonymous_browser(), display_name="Buy at http://evil.example")
    assert "evil" not in mail.outbox[0].body + mail.outbox[0].subject


def test_supervisors_are_notified_in_their_language_after_verification():
    SupervisorFactory(email="a@example.org", language="en")
    SupervisorFactory(email="b@example.org", language="zh-hant")
    SupervisorFactory(email="c@example.org", approval=User.Approval.SUSPENDED)
    DoctorFactory(email="d@example.org")
    browser = anonymous_browser()
    sign_up(browser)
    # A name from before names were validated.
    User.objects.filter(email=APPLICANT["email"]).update(display_name="Chen\nBcc: x@example.org")
    assert [m.to for m in mail.outbox] == [[APPLICANT["email"]]]
    verify(browser)
    told = {m.to[0]: m for m in mail.outbox[1:]}
    assert set(told) == {"a@example.org", "b@example.org"}
    assert "Account awaiting approval: Chen Bcc" in told["a@example.org"].subject
    assert "有帳號等待核准" in told["b@example.org"].subject
    assert f"/admin/accounts/user/{User.objects.get(email=APPLICANT['email']).pk}/" in (
        told["a@example.org"].body
    )


def test_changing_the_address_is_not_a_second_application():
    SupervisorFactory(email="a@example.org")
    browser = anonymous_browser()
    user = applicant(browser)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    browser.post("/accounts/email/", {"email": "new@example.org", "action_add": ""})
    sent = len(mail.outbox)
    verify(browser)
    user.refresh_from_db()
    assert user.email == "new@example.org"
    assert ["a@example.org"] not in [m.to for m in mail.outbox[sent:]]


def test_known_and_unknown_addresses_get_the_same_response_in_the_same_time(expensive_calls):
    DoctorFactory(email=APPLICANT["email"], language="en")
    known, unknown = anonymous_browser(), anonymous_browser()
    drawn = synthetic_film("NORMAL", seed=1, size=300)
    answers = []
    for browser, email in ((known, APPLICANT["email"]), (unknown, "unknown@example.org")):
        expensive_calls.clear()
        response = sign_up(browser, email=email, picture=upload_of(encode(drawn, "png")))
        page = browser.get(response.headers["Location"])
        answers.append(
            (response.status_code, response.headers["Location"], sorted(expensive_calls),
             page.content.decode().replace(email, ""))
        )  # fmt: skip
    assert len(mail.outbox) == 2
    assert answers[0][:3] == answers[1][:3]
    assert answers[0][2] == ["hashed", "re-encoded", "re-encoded"]
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
def test_wrong_password_and_unknown_address_get_the_same_response(expensive_calls, state):
    user = DoctorFactory(approval=state)
    pages = []
    for email in (user.email, "nobody@example.org"):
        expensive_calls.clear()
        browser = anonymous_browser()
        response = sign_in(browser, email, "a wrong password")
        pages.append(
            (response.status_code, list(expensive_calls), str(response.context["form"].errors))
        )
    assert pages[0] == pages[1]
    assert pages[0][:2] == (200, ["hashed"])


def test_concurrent_sign_ups_with_one_address_create_one_account(monkeypatch):
    """Both forms are valid before either account is stored; one account is created."""
    UserFactory(email=APPLICANT["email"])
    monkeypatch.setattr(
        "allauth.account.internal.flows.manage_email.assess_unique_email", lambda *a, **k: True
    )
    assert sign_up(anonymous_browser()).headers["Location"] == "/accounts/confirm-email/"
    assert User.objects.count() == 1
    assert mail.outbox[0].subject == "[xraysite] 您已有帳號"


def test_mail_failure_loses_no_application(failing_mail_server):
    browser = anonymous_browser()
    page = sign_up(browser)
    assert page.headers["Location"] == "/accounts/confirm-email/"
    assert "The email could not be sent" in browser.get(page.headers["Location"]).content.decode()
    assert User.objects.filter(email=APPLICANT["email"]).exists()


def test_mail_failure_does_not_prevent_verification(request):
    SupervisorFactory()
    browser = anonymous_browser()
    sign_up(browser)
    link = mail.outbox[0]
    request.getfixturevalue("failing_mail_server")
    assert verify(browser, link).headers["Location"] == "/accounts/status/"
    assert User.objects.waiting().count() == 1


def test_unverified_address_of_another_account_is_not_taken_over():
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


def test_sign_up_is_recorded_without_the_password():
    sign_up(anonymous_browser())
    about = AuditEntry.objects.filter(content_type__model="user", what="created")
    row = about.get(object_pk=str(User.objects.get().pk))
    assert PASSWORD not in str(row.changes)
    assert row.remote_addr == "127.0.0.1"


def unapproved_browser(state: str):
    user = DoctorFactory(approval=state)
    return user, signed_in(user)


@pytest.mark.parametrize("state", ["PENDING", "REJECTED"])
def test_pages_redirect_pending_accounts_to_the_status_page(state, active_model):
    _, browser = unapproved_browser(state)
    tried = 0
    for name, _pattern in named_patterns():
        try:
            address = reverse(name)
        except NoReverseMatch:
            continue
        if address.startswith(settings.TOKEN_PATHS):  # a session counts for nothing there
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


def test_pages_about_objects_are_closed_to_pending_accounts(reading):
    _, browser = unapproved_browser("PENDING")
    for path in ("", "film/", "heatmap/", "report/", "edit/", "delete/"):
        response = browser.get(f"/readings/{reading.pk}/{path}")
        assert response.headers["Location"] == "/accounts/status/"
    assert browser.get("/models/pneumonia-2/").headers["Location"] == "/accounts/status/"


def test_pages_open_to_pending_accounts_exist():
    assert {name for name, _ in named_patterns()} >= OPEN_WITHOUT_APPROVAL


def test_pending_supervisors_and_superusers_are_redirected_too():
    user = UserFactory(approval="PENDING", is_staff=True, is_superuser=True)
    browser = signed_in(user)
    assert browser.get("/admin/").headers["Location"] == "/accounts/status/"
    browser.force_login(SupervisorFactory(approval="REJECTED"))
    assert browser.get("/admin/accounts/user/").headers["Location"] == "/accounts/status/"


def test_accounts_without_approval_have_no_permissions():
    assert DoctorFactory().has_perm("diagnosis.add_reading")
    for state in ("PENDING", "REJECTED", "SUSPENDED"):
        assert DoctorFactory(approval=state).get_all_permissions() == set()


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "Your account was not approved"), ("zh-TW", "您的帳號未獲核准")],
)
def test_rejected_applicant_sees_the_reason(language, words):
    user = UserFactory(approval="REJECTED", approval_reason="No such <licence>.")
    browser = anonymous_browser(language)
    browser.force_login(user)
    page = browser.get("/accounts/status/").content.decode()
    assert words in page
    assert "No such &lt;licence&gt;." in page


def test_applicant_can_sign_out_and_change_language():
    _, browser = unapproved_browser("PENDING")
    response = browser.post("/i18n/set/", {"language": "zh-hant", "next": "/accounts/status/"})
    assert response.headers["Location"] == "/accounts/status/"
    assert "您的帳號正在等待核准" in browser.get("/accounts/status/").content.decode()
    browser.post("/accounts/logout/")
    assert "_auth_user_id" not in browser.session


def test_approved_doctor_has_no_status_page(as_doctor):
    assert as_doctor.get("/accounts/status/").headers["Location"] == "/"
