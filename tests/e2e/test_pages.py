"""Layout, accessibility and behaviour of pages by language, width and theme."""

import hashlib
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from accounts.models import User
from diagnosis import storage
from diagnosis.models import Label, Reading
from tests.e2e import budget
from tests.e2e.conftest import new_context, settle, sign_in
from tests.factories import ReadingFactory
from tests.films import encode, synthetic_film

SIGNED_OUT = [
    "/",
    "/about/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
]
SIGNED_IN = [
    "/",
    "/readings/",
    "/readings/?q=nobody",
    "/readings/new/",
    "/readings/waiting/",
    "/readings/batches/",
    "/readings/batches/new/",
    "/readings/batches/inbox/",
    "/readings/statistics/",
    "/readings/tags/",
    "/readings/views/",
    "/models/",
    "/models/pneumonia-2/",
    "/models/pneumonia-2/transparency/",
    "/accounts/profile/",
    "/accounts/email/",
    "/accounts/sessions/",
    "/accounts/2fa/",
    "/accounts/password/change/",
    "/accounts/logout/",
    "/no/such/page/",
]
PLAIN_ANSWER = re.compile(r"\bnormal\b|\bpneumonia\b(?!-\d)|正常|肺炎", re.IGNORECASE)


@pytest.fixture
def readings(site_doctor) -> dict[str, Reading]:
    """One reading of each label, all of one stored synthetic film."""
    film = encode(synthetic_film("PNEUMONIA", seed=6, size=640), "jpeg")
    sha256 = hashlib.sha256(film).hexdigest()
    storage.keep(storage.original_name(sha256), film)
    shared = {
        "doctor": site_doctor,
        "film_sha256": sha256,
        "film_format": "JPEG",
        "film_width": 640,
        "film_height": 640,
    }
    probability = {Label.NORMAL: 0.03, Label.PNEUMONIA: 0.97, Label.UNSURE: 0.5}
    return {
        label: ReadingFactory(
            **shared,
            # A long name without a break.
            patient_name="Featherstonehaugh-Montgomery" if label == Label.UNSURE else "陳小明",
            label=label,
            probabilities={
                "NORMAL": 1 - probability.get(label, 0.9),
                "PNEUMONIA": probability.get(label, 0.9),
            },
            scope_reasons=["picture", "age"] if label == Label.OUT_OF_SCOPE else [],
        )
        for label in Label.values
    }


def pages_of(readings: dict[str, Reading]) -> list[str]:
    one, refused = readings[Label.PNEUMONIA], readings[Label.OUT_OF_SCOPE]
    return [
        *(f"/readings/{reading.pk}/" for reading in readings.values()),
        f"/readings/{one.pk}/edit/",
        f"/readings/{one.pk}/delete/",
        f"/readings/{one.pk}/report/",
        f"/readings/{one.pk}/share/",
        f"/readings/{refused.pk}/report/",
    ]


# Panels whose content reaches beyond their edge, where nothing scrolls it or cuts it off.
STICKING_OUT = """() => [...document.querySelectorAll(".panel, .result-panel, .module")]
  .filter((panel) => panel.checkVisibility()
    && getComputedStyle(panel).overflowX === "visible"
    && panel.scrollWidth > panel.clientWidth + 1)
  .map((panel) => panel.querySelector("h2")?.textContent.trim() || panel.className)"""


def visit(page: Page, address: str) -> None:
    """Open the page and wait for its images."""
    page.goto(address)
    settle(page)


def sign_in_and_settle(page: Page, site: str, doctor: User) -> None:
    sign_in(page, site, doctor.email)
    settle(page)


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


# Colours that still change, as after another theme was chosen, are not those that people read.
TRANSITIONS_OVER = """() => Promise.allSettled(
  document.getAnimations()
    .filter((each) => each instanceof CSSTransition)
    .map((each) => each.finished),
)"""


def violations(page: Page) -> list[str]:
    """Return the violations that axe finds, except minor ones."""
    page.evaluate(TRANSITIONS_OVER)
    return [
        f"{found['id']} ({found['impact']}): {found['nodes'][0]['html'][:160]}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] != "minor"
    ]


def problems_of(
    page: Page,
    site: str,
    addresses: list[str],
    language: str = "en",
    *,
    widths: tuple[int, ...] = (),
) -> dict[str, list[str]]:
    """Visit every address and return the problems by address.

    Args:
        page: where to visit them; axe checks each at the width that the window has.
        site: the site's URL.
        addresses: paths of the pages.
        language: the language that each page should be in.
        widths: further widths of the window that each page has to fit into.
    """
    size = page.viewport_size
    assert size is not None
    found = {}
    for address in addresses:
        visit(page, f"{site}{address}")
        wrong = budget.exceeded(page, site)
        wrong += violations(page)
        if page.locator("html").get_attribute("lang") != language:
            wrong.append("is in another language")
        if page.locator("h1:visible").count() != 1:
            wrong.append("does not have exactly one main heading")
        for width in (size["width"], *widths):
            page.set_viewport_size({"width": width, "height": size["height"]})
            if overflow(page) > 0:
                wrong.append(f"at {width} pixels, is {overflow(page)} pixels wider than the window")
            for panel in page.evaluate(STICKING_OUT):
                wrong.append(f"at {width} pixels, something sticks out of {panel!r}")
        page.set_viewport_size(size)
        if wrong:
            found[address] = wrong
    return found


# axe takes much of the time, and checks structure, which is the same in every language.
WIDTHS = [("en", 1440, 360), ("zh-hant", 360, 1440)]


@pytest.mark.parametrize(("language", "width", "other"), WIDTHS)
def test_every_page_is_accessible_and_fits(
    browser, site, site_doctor, readings, language, width, other
):
    context = new_context(browser, language=language, width=width)
    page = context.new_page()
    offline = f"/offline/{language}/"
    found = problems_of(page, site, [*SIGNED_OUT, offline], language, widths=(other,))
    sign_in_and_settle(page, site, site_doctor)
    found |= problems_of(page, site, [*SIGNED_IN, *pages_of(readings)], language, widths=(other,))
    context.close()
    assert found == {}


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_the_validation_table_reads_on_a_phone(browser, site, site_doctor, readings, language):
    """Neither the names of its rows nor its intervals break into several lines."""
    context = new_context(browser, language=language, width=360)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}{readings[Label.PNEUMONIA].get_absolute_url()}")
    table = page.locator("section[aria-labelledby=validated] table").first
    broken = table.evaluate(
        """(table) => [...table.querySelectorAll("tr:not(.outcomes-set) th[scope=row], td small")]
            .filter((cell) => {
              const style = getComputedStyle(cell);
              const inner = cell.clientHeight - parseFloat(style.paddingTop)
                - parseFloat(style.paddingBottom);
              return inner > 1.6 * parseFloat(style.lineHeight);
            })
            .map((cell) => cell.textContent.trim())"""
    )
    context.close()
    assert broken == []


def test_dark_theme_is_accessible_and_remembered(page: Page, site, site_doctor, readings):
    page.emulate_media(color_scheme="light")
    visit(page, site)
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.locator("[data-theme-toggle]").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    sign_in_and_settle(page, site, site_doctor)
    expect(root).to_have_attribute("data-bs-theme", "dark")
    looked_at = ["/", "/readings/", "/readings/new/", pages_of(readings)[1], pages_of(readings)[3]]
    assert problems_of(page, site, looked_at) == {}


def test_dark_system_theme_is_followed(page: Page, site):
    page.emulate_media(color_scheme="dark")
    visit(page, site)
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_nothing_overflows_at_200_percent_zoom(page: Page, site, site_doctor, readings):
    # A browser at 200 % lays out a window of 1280 pixels as one of 640.
    page.set_viewport_size({"width": 640, "height": 450})
    sign_in_and_settle(page, site, site_doctor)
    for address in [*SIGNED_IN[:-1], *pages_of(readings)]:
        visit(page, f"{site}{address}")
        assert overflow(page) <= 0, address


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_out_of_scope_pages_show_no_result(browser, site, site_doctor, readings, language):
    context = new_context(browser, language=language)
    page = context.new_page()
    sign_in_and_settle(page, site, site_doctor)
    refused = readings[Label.OUT_OF_SCOPE]
    for address in (f"/readings/{refused.pk}/", f"/readings/{refused.pk}/report/"):
        visit(page, f"{site}{address}")
        # What the doctor may choose is no result.
        page.locator(".opinion-choices").evaluate_all("all => all.forEach(one => one.remove())")
        assert PLAIN_ANSWER.findall(page.locator("body").inner_text()) == [], address
        expect(page.locator("[data-heat], .report-overlay, .scale")).to_have_count(0)
    context.close()


def test_delete_dialog_names_the_reading_and_can_be_cancelled(page: Page, site, readings):
    reading = readings[Label.NORMAL]
    sign_in_and_settle(page, site, reading.doctor)
    visit(page, f"{site}/readings/")
    trigger = page.locator(f"a[data-delete-url='/readings/{reading.pk}/delete/']")
    trigger.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(reading.patient_name)
    expect(dialog).to_contain_text("2026-01-02")
    dialog.get_by_label("Created by mistake").check()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(trigger).to_be_focused()
    page.locator("a[data-delete-url]").first.click()
    expect(dialog.get_by_label("no longer needed")).to_be_checked()
    page.keyboard.press("Escape")
    assert Reading.objects.filter(pk=reading.pk).exists()


def test_search_announces_results_and_can_be_bookmarked(page: Page, site, site_doctor, readings):
    sign_in_and_settle(page, site, site_doctor)
    visit(page, f"{site}/readings/")
    page.locator("input[name=q]").fill("Feather")
    expect(page.locator("[data-said]")).to_have_text("1 reading")
    page.wait_for_url("**/readings/?search=*")
    page.reload()
    expect(page.locator("#reading-results tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Show all readings").click()
    expect(page.locator("#reading-results tbody tr")).to_have_count(len(readings))
