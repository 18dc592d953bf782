"""Passkeys, and the end of a session in a browser."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import new_context, sign_in
from tests.factories import PASSWORD, SupervisorFactory


def test_passkey_is_set_up_and_signs_in_to_the_admin(browser: Browser, site: str):
    supervisor = SupervisorFactory(email="supervisor@example.org")
    context = new_context(browser)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    page.goto(f"{site}/accounts/login/")
    page.locator("input[name=login]").fill(supervisor.email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main form button[type=submit]").first.click()
    page.get_by_role("link", name="Passkey or security key").click()
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main form button[type=submit]").first.click()
    page.locator("input[name=passwordless]").check()
    page.locator("#mfa_webauthn_add").click()
    expect(page.locator("#recovery_codes li")).to_have_count(10)
    page.goto(f"{site}/admin/")
    expect(page.locator(".sidebar")).to_be_visible()

    # Sign in with the passkey only
    context.clear_cookies()
    page.goto(f"{site}/accounts/login/")
    page.locator("#passkey_login").click()
    page.wait_for_url(f"{site}/")
    page.goto(f"{site}/admin/")
    expect(page.locator(".sidebar")).to_be_visible()

    # Reauthenticate with the passkey
    page.goto(f"{site}/accounts/2fa/webauthn/reauthenticate/?next=/accounts/email/")
    page.locator("#mfa_webauthn_reauthenticate").click()
    page.wait_for_url(f"{site}/accounts/email/")
    context.close()


@pytest.fixture
def short_sessions(settings):
    settings.SESSION_IDLE_SECONDS = 9


def test_session_warning_and_staying_signed_in_keep_the_form(
    short_sessions, page: Page, site: str, site_doctor
):
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=patient_name]").fill("陳小明")
    dialog = page.locator("#session-dialog")
    expect(dialog).to_be_visible(timeout=12_000)
    expect(dialog).to_contain_text("Are you still there?")
    stay = page.get_by_role("button", name="Stay signed in")
    expect(stay).to_be_focused()
    stay.click()
    expect(dialog).to_be_hidden()
    expect(page.locator("input[name=patient_name]")).to_have_value("陳小明")


def test_final_session_warning_focuses_its_button(
    short_sessions, page: Page, site: str, site_doctor
):
    # The response for staff whose session has reached its limit.
    answer = {"signed_in": True, "seconds_left": 2, "can_stay": False, "token": "", "account": 0}
    page.route("**/accounts/session/", lambda route: route.fulfill(json=answer))
    sign_in(page, site, site_doctor.email)
    understood = page.get_by_role("button", name="I understand")
    expect(understood).to_be_focused(timeout=12_000)
    understood.click()
    expect(page.locator("#session-dialog")).to_be_hidden()


def test_expired_session_covers_the_page_until_signing_in_again(
    browser: Browser, settings, site: str, site_doctor
):
    settings.SESSION_IDLE_SECONDS = 9
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/accounts/profile/")
    page.locator("input[name=hospital]").fill("馬偕紀念醫院")
    ended = page.get_by_role("heading", name="You have been signed out")
    expect(ended).to_be_visible(timeout=20_000)
    expect(page.locator("main")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(ended).to_be_visible()

    settings.SESSION_IDLE_SECONDS = 600
    with context.expect_page() as opened:
        page.get_by_role("link", name="Sign in again in a new tab").click()
    tab = opened.value
    tab.locator("input[name=login]").fill(site_doctor.email)
    tab.locator("input[name=password]").fill(PASSWORD)
    tab.locator("main form button[type=submit]").first.click()
    tab.wait_for_url(f"{site}/")
    page.bring_to_front()
    page.get_by_role("button", name="I have signed in").click()
    expect(page.locator("main")).to_be_visible()
    expect(page.locator("input[name=hospital]")).to_have_value("馬偕紀念醫院")
    page.get_by_role("button", name="Save").first.click()
    page.wait_for_load_state("networkidle")
    site_doctor.refresh_from_db()
    assert site_doctor.hospital == "馬偕紀念醫院"
    context.close()
