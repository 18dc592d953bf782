"""The life of an account in a browser, from sign-up to suspension."""

import re

import pytest
from django.core import mail
from playwright.sync_api import Browser, Page, expect

from accounts.audit.verify import verify_log
from accounts.models import AuditEntry, User
from tests.e2e.conftest import code_of, new_context
from tests.factories import PASSWORD, SupervisorFactory

NEW = "mei@example.org"
NEW_PASSWORD = "a long enough phrase"


def link_in_mail_to(address: str) -> str:
    """Return the link in the newest email to `address`."""
    body = next(m.body for m in reversed(mail.outbox) if m.to == [address])
    return re.search(r"https?://\S+", str(body))[0]


@pytest.fixture
def office(browser: Browser, site: str):
    """The browser of a supervisor, in which two-factor authentication is set up."""
    supervisor = SupervisorFactory(email="supervisor@example.org", display_name="林淑芬")
    context = new_context(browser)
    page = context.new_page()
    page.goto(f"{site}/accounts/login/")
    page.locator("input[name=login]").fill(supervisor.email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main form button[type=submit]").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("two-factor authentication")
    page.get_by_role("link", name="Authenticator app").click()
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main form button[type=submit]").first.click()
    page.get_by_text("I cannot scan the code").click()
    secret = page.locator("#authenticator_secret").inner_text()
    page.locator("input[name=code]").fill(code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator("#recovery_codes li")).to_have_count(10)
    page.get_by_role("link", name="I have saved my codes").click()
    yield page
    context.close()


def test_from_sign_up_to_suspension(page: Page, office: Page, site: str, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    # Signing up
    page.goto(f"{site}/accounts/signup/")
    for name, value in {
        "display_name": "陳美",
        "email": NEW,
        "password1": NEW_PASSWORD,
        "password2": NEW_PASSWORD,
        "hospital": "臺大醫院",
        "department": "小兒科",
        "licence_number": "醫字第 12345 號",
    }.items():
        page.locator(f"input[name={name}]").fill(value)
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url("**/accounts/confirm-email/")
    expect(page.locator("main")).to_contain_text("Check your inbox")

    # Verifying in the browser that signed up, which signs it in
    page.goto(link_in_mail_to(NEW))
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url("**/accounts/status/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("awaiting approval")
    page.goto(f"{site}/readings/")
    page.wait_for_url("**/accounts/status/")

    # Approving
    applicant = User.objects.get(email=NEW)
    office.goto(f"{site}/admin/accounts/user/{applicant.pk}/change/")
    expect(office.locator("body")).to_contain_text("臺大醫院")
    office.get_by_role("link", name="Approve").click()
    office.get_by_role("button", name="Approve").click()
    office.wait_for_load_state("networkidle")
    applicant.refresh_from_db()
    assert applicant.is_approved
    assert mail.outbox[-1].to == [NEW]

    # Signed in
    page.goto(f"{site}/readings/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.url.endswith("/readings/")

    # Suspended and signed out
    office.goto(f"{site}/admin/accounts/user/{applicant.pk}/change/")
    office.get_by_role("link", name="Suspend").click()
    office.locator("textarea[name=reason]").fill("left the hospital")
    office.get_by_role("button", name="Suspend").click()
    office.wait_for_load_state("networkidle")
    page.goto(f"{site}/readings/")
    page.wait_for_url("**/accounts/login/**")
    page.locator("input[name=login]").fill(NEW)
    page.locator("input[name=password]").fill(NEW_PASSWORD)
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url("**/accounts/inactive/")

    # Everything is audited, and the log is intact
    events = set(AuditEntry.objects.values_list("what", flat=True))
    assert {"approved", "suspended", "sign-in", "second-factor-added"} <= events
    assert list(verify_log()) == []
