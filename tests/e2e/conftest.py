"""A running site and a headless Chromium; without Chromium each test is skipped with a reason."""

import os
import shutil
import time
from collections.abc import Iterator

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from accounts.models import User
from mlcore import registry
from tests.conftest import activated
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Playwright's event loop runs in this thread, where Django would refuse synchronous queries. All
# queries of these tests are synchronous.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker("e2e")
            item.add_marker(pytest.mark.xdist_group(f"e2e-{item.path.stem}"))
            if not CHROMIUM:
                item.add_marker(
                    pytest.mark.skip(reason="NOT TESTED in a browser: no Chromium found")
                )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def site(live_server, transactional_db, shipped_bundle) -> str:
    """Return the URL of a running site; activate the shipped model unless another is active."""
    if registry.active_version() is None:
        activated(shipped_bundle)
    return live_server.url


@pytest.fixture
def site_doctor(site: str) -> User:
    return DoctorFactory(email="doctor@example.org", display_name="王怡君")


@pytest.fixture
def site_supervisor(site: str) -> User:
    return SupervisorFactory(email="supervisor@example.org", display_name="林淑芬")


def new_context(
    browser: Browser, *, language: str = "en", width: int = 1440, installs: bool = False
) -> BrowserContext:
    """Return a browser of its own; with `installs`, it runs the site's service worker."""
    context = browser.new_context(
        service_workers="allow" if installs else "block",
        locale={"en": "en-US", "zh-hant": "zh-TW"}[language],
        viewport={"width": width, "height": 900},
        timezone_id="Asia/Taipei",
    )
    context.set_default_timeout(15_000)
    return context


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """An English page at desktop width; errors in its console fail the test."""
    context = new_context(browser)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    # Browsers log the status 422 of a refused form as an error.
    refused = "the server responded with a status of 422"
    page.on(
        "console",
        lambda said: (
            problems.append(said.text)
            if said.type == "error" and refused not in said.text
            else None
        ),
    )
    yield page
    context.close()
    assert problems == [], "errors in the browser's console"


def settle(page: Page) -> None:
    """Wait until every image of the page is loaded and decoded.

    Leaving earlier would abort their requests.
    """
    page.evaluate(
        """async () => {
          const images = [...document.images].filter((image) => image.getAttribute("src"));
          for (const image of images) image.loading = "eager";
          await Promise.all(images.map((image) => image.decode()));
        }"""
    )


def add_authenticator_app(user: User) -> str:
    """Give the account an authenticator app and return its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def code_of(secret: str) -> str:
    """Return the current code of the app, waiting if it is about to change."""
    if time.time() % 30 > 25:
        time.sleep(30 - time.time() % 30)
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def sign_in(page: Page, site: str, email: str, *, secret: str = "") -> None:
    """Sign in on the page; with `secret`, also with a code of the app."""
    page.goto(f"{site}/accounts/login/")
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main form button[type=submit]").first.click()
    if secret:
        page.wait_for_url("**/2fa/authenticate/")
        page.locator("input[name=code]").fill(code_of(secret))
        page.locator("main form button[type=submit]").first.click()
    page.wait_for_url(f"{site}/")
