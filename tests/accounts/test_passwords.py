"""Remembered sessions, passwords, e-mail addresses and rate limits."""

from datetime import timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.conf import settings as django_settings
from django.contrib.auth.hashers import check_password
from django.core import mail
from django.core.cache import cache
from django.test import override_settings
from django.utils import timezone

from accounts.allauth import adapters
from accounts.models import AuditEntry, User
from tests.accounts.sign_up_steps import anonymous_browser, link_in, sign_in, sign_up, verify
from tests.conftest import signed_in
from tests.factories import PASSWORD, DoctorFactory
from xraysite.settings import base

pytestmark = pytest.mark.django_db
NEW = "quite another one 42"


@pytest.fixture
def limits():
    """The site's rate limits, which are off in other tests."""
    cache.clear()
    with override_settings(ACCOUNT_RATE_LIMITS=base.ACCOUNT_RATE_LIMITS):
        yield
    cache.clear()


def ask_for_reset(browser, email: str):
    return browser.post("/accounts/password/reset/", {"email": email})


def set_new(browser, address: str, password: str = NEW):
    """Open the mailed link and set the password on its page."""
    form = browser.get(address).headers["Location"]
    return browser.post(form, {"password1": password, "password2": password})


def too_many(response) -> bool:
    return "Too many failed attempts" in response.content.decode()


# Staying signed in


def test_session_ends_with_the_browser_unless_remembered():
    doctor = DoctorFactory()
    for ticked, kept in (({}, False), ({"remember": "on"}, True)):
        browser = anonymous_browser()
        sign_in(browser, doctor.email, **ticked)
        cookie = browser.cookies["sessionid"]
        assert bool(cookie["max-age"]) == kept
        assert browser.session.get_expire_at_browser_close() != kept
        if kept:
            assert cookie["max-age"] == django_settings.SESSION_COOKIE_AGE == 14 * 24 * 3600
    assert "For at most 14 days" in anonymous_browser().get("/accounts/login/").content.decode()


def test_sign_up_session_is_not_remembered():
    browser = anonymous_browser()
    sign_up(browser)
    verify(browser)
    assert "_auth_user_id" in browser.session
    assert browser.session.get_expire_at_browser_close()


def test_sign_in_page_links_to_sign_up_and_password_reset():
    page = anonymous_browser().get("/accounts/login/").content.decode()
    assert 'href="/accounts/signup/"' in page
    assert 'href="/accounts/password/reset/"' in page


# Password reset


@pytest.mark.parametrize(
    ("language", "subject"), [("en", "Reset your password"), ("zh-hant", "重設您的密碼")]
)
def test_password_reset_by_mail_in_the_users_language(language, subject):
    doctor = DoctorFactory(language=language)
    old = anonymous_browser()
    sign_in(old, doctor.email)
    browser = anonymous_browser("en")
    response = ask_for_reset(browser, doctor.email.upper())
    assert response.headers["Location"] == "/accounts/password/reset/done/"
    assert mail.outbox[0].subject == f"[xraysite] {subject}"
    address = link_in(mail.outbox[0])
    assert set_new(browser, address).headers["Location"] == "/accounts/password/reset/key/done/"
    doctor.refresh_from_db()
    assert check_password(NEW, doctor.password)
    answer = old.get("/accounts/profile/")
    assert answer.headers["Location"] == "/accounts/login/?next=/accounts/profile/"
    assert "_auth_user_id" not in old.session
    # The link works once.
    page = anonymous_browser().get(address)
    assert page.status_code == 200
    assert "expired" in page.content.decode()


@pytest.mark.parametrize(("minutes", "works"), [(59, True), (61, False)])
def test_reset_link_expires_after_an_hour(minutes, works):
    doctor = DoctorFactory()
    ask_for_reset(anonymous_browser(), doctor.email)
    address = link_in(mail.outbox[0])
    # Tokens use local time: travel within the time zone of the site.
    with time_machine.travel(timezone.localtime() + timedelta(minutes=minutes)):
        browser = anonymous_browser()
        page = browser.get(address)
        if works:
            set_new(browser, address)
        else:
            assert page.status_code == 200
            assert "expired" in page.content.decode()
            browser.post(address, {"password1": NEW, "password2": NEW})
    doctor.refresh_from_db()
    assert check_password(NEW if works else PASSWORD, doctor.password)


def test_reset_does_not_reveal_whether_an_account_exists():
    doctor = DoctorFactory()
    answers = []
    for email in (doctor.email, "nobody@example.org"):
        browser = anonymous_browser()
        response = ask_for_reset(browser, email)
        answers.append((response.status_code, response.headers["Location"],
                        browser.get(response.headers["Location"]).content.decode()))  # fmt: skip
    assert len(mail.outbox) == 2
    known, unknown = (
        (code, where, [line for line in page.splitlines() if "csrf" not in line])
        for code, where, page in answers
    )
    assert known == unknown
    assert mail.outbox[1].to == ["nobody@example.org"]
    assert "key" not in mail.outbox[1].body


def test_reset_does_not_reopen_a_suspended_account():
    doctor = DoctorFactory(approval="SUSPENDED")
    browser = anonymous_browser()
    ask_for_reset(browser, doctor.email)
    set_new(browser, link_in(mail.outbox[0]))
    assert sign_in(browser, doctor.email, NEW).headers["Location"] == "/accounts/inactive/"


# Password and address changes


def test_changing_the_password_ends_other_sessions_and_sends_a_mail():
    doctor = DoctorFactory(language="zh-hant")
    here, there = anonymous_browser(), anonymous_browser()
    for browser in (here, there):
        sign_in(browser, doctor.email)
    answers = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    wrong = here.post("/accounts/password/change/", answers | {"oldpassword": "wrong"})
    assert wrong.context["form"].errors["oldpassword"]
    assert here.post("/accounts/password/change/", answers).status_code == 302
    assert here.get("/accounts/profile/").status_code == 200
    assert there.get("/accounts/profile/").status_code == 302
    assert mail.outbox[0].subject == "[xraysite] 您的密碼已變更"
    assert "127.0.0.1" in mail.outbox[0].body
    assert not any(NEW in str(row.changes) for row in AuditEntry.objects.all())


def test_new_address_takes_effect_after_verification():
    doctor = DoctorFactory(email="old@example.org", language="en")
    browser = anonymous_browser()
    sign_in(browser, doctor.email)
    # After the password is confirmed, the change continues by itself.
    asked = browser.post("/accounts/email/", {"email": "new@example.org", "action_add": ""})
    browser.post(asked.headers["Location"], {"password": PASSWORD, "next": "/accounts/email/"})
    page = browser.get("/accounts/email/").content.decode()
    assert "Not verified yet" in page
    doctor.refresh_from_db()
    assert doctor.email == "old@example.org"
    verify(browser)
    doctor.refresh_from_db()
    assert doctor.email == "new@example.org"
    assert [m.to[0] for m in mail.outbox] == ["new@example.org", "old@example.org"]
    assert "from old@example.org to new@example.org" in mail.outbox[1].body
    assert "_auth_user_id" in browser.session
    assert sign_in(anonymous_browser(), "new@example.org").headers["Location"] == "/"
    row = AuditEntry.objects.filter(object_pk=str(doctor.pk), what="changed").get()
    assert row.changes["email"] == ["old@example.org", "new@example.org"]


def test_changing_the_address_asks_for_the_password():
    doctor = DoctorFactory()
    browser = signed_in(doctor)  # without a recent authentication
    answers = {"email": "thief@example.org", "action_add": ""}
    response = browser.post("/accounts/email/", answers)
    assert response.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not doctor.emailaddress_set.filter(email="thief@example.org").exists()
    wrong = browser.post("/accounts/reauthenticate/", {"password": "wrong"})
    assert wrong.context["form"].errors


def test_changing_the_address_does_not_reveal_other_accounts():
    other = DoctorFactory()
    browser = anonymous_browser()
    sign_in(browser, DoctorFactory().email)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    pages = []
    for email in (other.email, "free@example.org"):
        answer = browser.post("/accounts/email/", {"email": email, "action_add": ""}, follow=True)
        pages.append(answer.content.decode().replace(email, "X"))
    without_tokens = [
        [
            line
            for line in page.splitlines()
            # The remaining seconds may differ by one between the two requests.
            if not any(name in line for name in ("csrf", "data-token", "data-seconds-left"))
        ]
        for page in pages
    ]
    assert without_tokens[0] == without_tokens[1]
    # The owner's account is not affected.
    address = link_in(mail.outbox[0])
    assert mail.outbox[0].to == [other.email]
    browser.post(address)
    assert User.objects.filter(email=other.email).get() == other


# Rate limits


def test_right_password_is_refused_after_five_failed_attempts(limits):
    doctor = DoctorFactory()
    browser = anonymous_browser()
    for _ in range(5):
        assert not too_many(sign_in(browser, doctor.email, "wrong"))
    response = sign_in(browser, doctor.email)
    assert too_many(response)
    assert "_auth_user_id" not in browser.session
    page = anonymous_browser("zh-TW").post(
        "/accounts/login/", {"login": doctor.email, "password": PASSWORD}
    )
    assert "失敗次數過多" in page.content.decode()


def test_unknown_address_is_locked_too(limits):
    browser = anonymous_browser()
    for _ in range(5):
        sign_in(browser, "nobody@example.org", "wrong")
    assert too_many(sign_in(browser, "nobody@example.org", "wrong"))


def test_failed_attempts_from_elsewhere_do_not_lock_the_user_out(limits):
    doctor = DoctorFactory()
    thief = anonymous_browser()
    for _ in range(6):
        thief.post("/accounts/login/", {"login": doctor.email, "password": "x"},
                   REMOTE_ADDR="203.0.113.9")  # fmt: skip
    assert sign_in(anonymous_browser(), doctor.email).headers["Location"] == "/"


@pytest.mark.parametrize("trusted", [False, True])
def test_forged_client_address_does_not_evade_the_limit(limits, settings, trusted):
    settings.TRUSTED_PROXIES = ["127.0.0.1"] if trusted else []
    doctor = DoctorFactory()
    answers = [
        anonymous_browser().post(
            "/accounts/login/", {"login": doctor.email, "password": "wrong"},
            headers={"x-forwarded-for": f"203.0.113.{n}"},
        )
        for n in range(6)
    ]  # fmt: skip
    # A header from an untrusted connection does not change the client address.
    assert too_many(answers[-1]) == (not trusted)


def test_distributed_guessing_is_stopped(limits):
    doctor = DoctorFactory()
    for n in range(100):
        wrong = {"login": doctor.email, "password": "wrong"}
        anonymous_browser().post("/accounts/login/", wrong, REMOTE_ADDR=f"198.51.100.{n}")
    right = {"login": doctor.email, "password": PASSWORD}
    response = anonymous_browser().post("/accounts/login/", right, REMOTE_ADDR="203.0.113.1")
    assert too_many(response)
    # The owner can sign in again after a password reset.
    ask_for_reset(anonymous_browser(), doctor.email)
    browser = anonymous_browser()
    set_new(browser, link_in(mail.outbox[-1]))
    assert sign_in(browser, doctor.email, NEW).headers["Location"] == "/"


def guess_from_everywhere(email: str) -> None:
    for n in range(100):
        wrong = {"login": email, "password": "wrong"}
        anonymous_browser().post("/accounts/login/", wrong, REMOTE_ADDR=f"198.51.100.{n}")


def test_owner_signs_in_on_a_known_device_while_others_guess(limits):
    doctor = DoctorFactory()
    browser = anonymous_browser()
    sign_in(browser, doctor.email)
    browser.post("/accounts/logout/")
    guess_from_everywhere(doctor.email)
    assert too_many(sign_in(anonymous_browser(), doctor.email))
    assert sign_in(browser, doctor.email).headers["Location"] == "/"
    cookie = browser.cookies["known_device"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/accounts/")


def test_known_device_has_a_limit_of_its_own(limits):
    doctor = DoctorFactory()
    browser = anonymous_browser()
    sign_in(browser, doctor.email)
    browser.post("/accounts/logout/")
    for _ in range(5):
        assert not too_many(sign_in(browser, doctor.email, "wrong"))
    assert too_many(sign_in(browser, doctor.email))
    # It did not use up anybody else's tries, and it is not known for other accounts.
    assert sign_in(anonymous_browser(), doctor.email).headers["Location"] == "/"
    other = DoctorFactory()
    guess_from_everywhere(other.email)
    assert too_many(sign_in(browser, other.email))


@pytest.mark.parametrize("how", ["new password", "forged", "expired"])
def test_device_is_no_longer_known(limits, how):
    doctor = DoctorFactory()
    browser = anonymous_browser()
    sign_in(browser, doctor.email)
    browser.post("/accounts/logout/")
    if how == "new password":
        doctor.set_password(PASSWORD)
        doctor.save()
    elif how == "forged":
        browser.cookies["known_device"] = browser.cookies["known_device"].value[:-1] + "."
    days = 181 if how == "expired" else 0
    with time_machine.travel(timezone.now() + timedelta(days=days)):
        guess_from_everywhere(doctor.email)
        assert too_many(sign_in(browser, doctor.email))


def test_workstation_knows_several_accounts(limits):
    browser, doctors = anonymous_browser(), [DoctorFactory(), DoctorFactory()]
    for doctor in doctors:
        sign_in(browser, doctor.email)
        browser.post("/accounts/logout/")
    for doctor in doctors:
        guess_from_everywhere(doctor.email)
        assert sign_in(browser, doctor.email).headers["Location"] == "/"
        browser.post("/accounts/logout/")


def test_a_whole_hospital_signs_in_from_one_address(limits):
    doctors = [DoctorFactory() for _ in range(60)]
    for doctor in doctors:
        assert sign_in(anonymous_browser(), doctor.email).headers["Location"] == "/"


def test_one_client_cannot_try_many_accounts(limits):
    browser = anonymous_browser()
    for n in range(20):
        assert not too_many(sign_in(browser, f"u{n}@example.org", "wrong"))
    assert too_many(sign_in(browser, "one-more@example.org", "wrong"))


def test_successful_sign_ins_do_not_count_as_attempts(limits):
    doctor = DoctorFactory()
    for _ in range(25):
        browser = anonymous_browser()
        assert sign_in(browser, doctor.email).headers["Location"] == "/"


def test_many_reset_mails_to_one_address_are_refused(limits):
    for _ in range(5):
        assert ask_for_reset(anonymous_browser(), "a@example.org").status_code == 302
    response = ask_for_reset(anonymous_browser(), "a@example.org")
    assert response.status_code == 429
    assert "Wait a few minutes" in response.content.decode()
    assert len(mail.outbox) == 5


def test_many_sign_ups_from_one_client_are_refused(limits):
    for n in range(20):
        sign_up(anonymous_browser(), email=f"u{n}@example.org")
    assert sign_up(anonymous_browser(), email="one-more@example.org").status_code == 429
    assert User.objects.count() == 20


def test_untrusted_unix_socket_proxy_causes_no_error(settings):
    """Without a client address, all clients share one limit."""
    doctor = DoctorFactory()
    browser = anonymous_browser()
    browser.post("/accounts/login/", {"login": doctor.email, "password": PASSWORD}, REMOTE_ADDR="")
    assert UserSession.objects.get(user=doctor).ip == adapters.NO_ADDRESS


def test_rate_limits_are_shared_by_all_processes():
    assert base.CACHES["default"]["BACKEND"] == "xraysite.common.cache.StrictDatabaseCache"
