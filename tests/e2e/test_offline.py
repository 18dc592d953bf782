"""X-rays that wait in the browser while there is no connection, and what never stays there."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from diagnosis.models import Reading
from tests.e2e.conftest import new_context, sign_in
from tests.factories import DoctorFactory
from tests.films import encode, synthetic_film

NAME, OTHER_NAME = "Featherstone Emma", "Montgomery Noah"
# Everything that is stored, as text: of a buffer, every byte as a character.
STORED = """async () => {
  const database = await new Promise((resolve) => {
    const request = indexedDB.open("xraysite-offline");
    request.onsuccess = () => resolve(request.result);
  });
  const all = (name) => new Promise((resolve) => {
    const request = database.transaction(name).objectStore(name).getAll();
    request.onsuccess = () => resolve(request.result);
  });
  const text = (_, value) => {
    const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
    if (!(bytes instanceof Uint8Array)) return value;
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  };
  const found = { items: await all("items"), account: await all("account") };
  database.close();
  return JSON.stringify(found, text);
}"""
CACHED = """async () => {
  const found = [];
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) found.push(request.url);
  }
  return found;
}"""


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"film-{seed}.jpg" for seed in (1, 2, 3)]
    for seed, path in enumerate(paths):
        path.write_bytes(encode(synthetic_film("NORMAL", seed=seed, size=400), "jpeg"))
    return paths


def fill(page: Page, film: Path, name: str) -> None:
    page.locator("input[name=film]").set_input_files(film)
    page.locator("input[name=patient_name]").fill(name)
    page.locator("input[name=patient_age_years]").fill("3")


def stored(page: Page) -> dict[str, list[dict[str, object]]]:
    return json.loads(page.evaluate(STORED))


def open_form(context: BrowserContext, site: str) -> Page:
    """Open the form, and wait until the browser could do without the server."""
    page = context.new_page()
    page.goto(f"{site}/readings/new/")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => undefined)")
    return page


def test_films_wait_for_the_line_and_are_sent_once(browser, site, site_doctor, films):
    context = new_context(browser, installs=True)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    form, late = open_form(context, site), context.new_page()
    line = form.locator("[data-line-text]")
    expect(line).to_be_hidden()

    context.set_offline(True)
    expect(line).to_have_text("Offline")
    fill(form, films[0], NAME)
    form.get_by_role("button", name="Read X-ray").click()
    expect(form.locator("[data-film-error]")).to_contain_text("Nothing was lost")
    form.get_by_role("button", name="Keep and send later").click()
    expect(line).to_have_text("Offline: 1 X-ray waiting")
    expect(form.locator("input[name=patient_name]")).to_have_value("")

    # Any page, opened without a connection
    late.goto(f"{site}/readings/")
    expect(late.get_by_role("heading", level=1)).to_have_text("No connection")
    fill(late, films[1], OTHER_NAME)
    late.get_by_role("button", name="Keep and send later").click()
    expect(line).to_have_text("Offline: 2 X-rays waiting")
    expect(late.locator(".waiting-row")).to_have_count(2)
    kept = stored(late)
    assert len(kept["items"]) == 2
    for text in (NAME, OTHER_NAME, "Featherstone", "Montgomery", "film-1.jpg", "JFIF"):
        assert text not in json.dumps(kept), "what waits is encrypted"
    assert not Reading.objects.exists()

    # What was kept on the open page is sent by itself, the rest when the doctor agrees.
    context.set_offline(False)
    expect(line).to_have_text("1 X-ray waits to be sent")
    assert Reading.objects.get().patient_name == NAME
    form.get_by_role("link", name="Review and send").click()
    row = form.locator(".waiting-row")
    expect(row).to_contain_text(OTHER_NAME)
    assert Reading.objects.count() == 1
    form.get_by_role("button", name="Send all").click()
    expect(row).to_contain_text("Sent and read")
    row.get_by_role("link", name="Open").click()
    form.wait_for_url("**/readings/*-*-*-*-*/")
    assert sorted(Reading.objects.values_list("patient_name", flat=True)) == [NAME, OTHER_NAME]
    assert stored(form)["items"] == []

    cached = {urlsplit(address).path for address in form.evaluate(CACHED)}
    assert {"/offline/en/", "/offline/zh-hant/"} <= cached
    others = {path for path in cached if not path.startswith(("/static/", "/offline/"))}
    assert others == {"/language"}, "no page of a signed-in user is kept"
    context.close()


def test_what_waits_is_sent_once_though_it_has_arrived(browser, site, site_doctor, films):
    """The line broke after the server had the X-ray, and before the browser had its answer."""
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.route("**/readings/new/", lambda route: (route.fetch(), route.abort()))
    fill(page, films[0], NAME)
    page.get_by_role("button", name="Read X-ray").click()
    page.get_by_role("button", name="Keep and send later").click()
    expect(page.locator("[data-line-text]")).to_contain_text("1 X-ray")
    assert Reading.objects.count() == 1
    page.unroute_all()
    page.goto(f"{site}/readings/waiting/")
    expect(page.locator(".waiting-row")).to_contain_text("Sent and read")
    assert Reading.objects.count() == 1
    context.close()


def test_signing_out_and_another_account_delete_what_waits(browser, site, site_doctor, films):
    context = new_context(browser)
    page = context.new_page()
    line = page.locator("[data-line-text]")

    def keep_one() -> None:
        sign_in(page, site, site_doctor.email)
        page.goto(f"{site}/readings/new/")
        fill(page, films[2], NAME)
        context.set_offline(True)
        page.get_by_role("button", name="Keep and send later").click()
        expect(line).to_have_text("Offline: 1 X-ray waiting")
        # The line returns, but not for long enough to send it.
        page.route("**/readings/new/", lambda route: route.abort())
        context.set_offline(False)

    keep_one()
    page.goto(f"{site}/readings/")
    page.locator(".user-menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 X-ray in this browser has not been sent.")
    dialog.get_by_role("button", name="Cancel").click()
    assert len(stored(page)["items"]) == 1
    page.locator(".user-menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    dialog.get_by_role("button", name="Sign out and delete").click()
    page.get_by_role("link", name="Sign in").first.wait_for()
    assert stored(page) == {"items": [], "account": []}

    page.unroute_all()
    keep_one()
    page.unroute_all()
    context.clear_cookies()  # the session has ended
    page.goto(site)
    assert len(stored(page)["items"]) == 1, "they wait for the same doctor"
    sign_in(page, site, DoctorFactory(email="other@example.org").email)
    expect(line).to_contain_text("1 X-ray of another account waited in this browser")
    assert stored(page)["items"] == []
    context.close()


def test_an_active_page_stays_open_without_a_connection(browser, site, site_doctor, settings):
    """The server has ended the session meanwhile, which covers the page when the line returns."""
    settings.SESSION_IDLE_SECONDS = 9
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    context.set_offline(True)
    name = page.locator("input[name=patient_name]")
    for _ in range(12):
        name.press_sequentially("x")
        page.wait_for_timeout(1000)
    expect(page.locator("#session-dialog")).to_be_hidden()
    context.set_offline(False)
    ended = page.get_by_role("heading", name="You have been signed out")
    expect(ended).to_be_visible(timeout=20_000)
    expect(name).to_have_value("x" * 12)
    context.close()
