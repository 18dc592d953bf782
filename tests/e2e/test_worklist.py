"""The worklist by keyboard, and many readings at once, as a doctor works."""

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from diagnosis.models import Label, Reading
from tests.conftest import post_film, signed_in
from tests.e2e.conftest import sign_in
from tests.factories import ReadingFactory


@pytest.fixture
def worklist(page: Page, site: str, site_doctor: User, film_bytes: bytes) -> Page:
    """A signed-in page with the doctor's worklist of six readings of one film."""
    assert post_film(signed_in(site_doctor), film_bytes).status_code == 302
    film = Reading.objects.values("film_sha256", "film_format", "film_width", "film_height").get()
    Reading.objects.update(patient_name="Child 0", patient_name_key="child 0", label=Label.NORMAL)
    for n in range(1, 6):
        label = Label.PNEUMONIA if n % 2 else Label.NORMAL
        ReadingFactory(
            doctor=site_doctor, patient_name=f"Child {n}", patient_number="", label=label, **film
        )
    sign_in(page, site, "doctor@example.org")
    page.goto(f"{site}/readings/", wait_until="load")
    return page


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.textContent.replace('Not opened yet', '').trim()")


def opened(page: Page, name: str) -> None:
    """Expect a reading's page, and wait until its scripts listen to keys."""
    expect(page.locator(".page-head h1")).to_have_text(name)
    page.wait_for_load_state()


def test_the_worklist_is_worked_through_by_keyboard(worklist: Page):
    page = worklist
    page.keyboard.press("j")
    assert focused(page) == "Child 1"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert focused(page) == "Child 3"
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    opened(page, "Child 3")
    page.keyboard.press("j")
    opened(page, "Child 5")
    page.keyboard.press("n")
    opened(page, "Child 0")
    page.keyboard.press("k")
    opened(page, "Child 5")
    page.go_back()
    page.get_by_role("link", name="Worklist").first.click()
    page.wait_for_load_state()
    page.keyboard.press("/")
    page.keyboard.type("child 4")
    expect(page.locator("[data-say]")).to_have_text("1 reading")
    assert "child" not in page.url


def test_a_range_is_deleted_and_comes_back(worklist: Page):
    page = worklist
    boxes = page.get_by_label("Select the reading for")
    boxes.nth(1).check()
    boxes.nth(3).click(modifiers=["Shift"])
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.locator("[data-bulk]").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete 3 readings?")).to_be_visible()
    page.get_by_role("button", name="Delete readings").click()
    expect(page.get_by_text("3 readings deleted.")).to_be_visible()
    expect(page.locator("tr[data-row]")).to_have_count(3)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("3 readings restored.")).to_be_visible()
    expect(page.locator("tr[data-row]")).to_have_count(6)


def test_an_open_list_shows_what_others_and_other_tabs_change(
    worklist: Page, site_doctor: User, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("diagnosis.views.worklist.POLL_S", 1)
    page = worklist
    page.reload()
    page.keyboard.press("j")
    Reading.objects.filter(patient_name="Child 1").update(patient_name="Renamed")
    film = Reading.objects.values("film_sha256", "film_format", "film_width", "film_height").first()
    assert film is not None
    ReadingFactory(doctor=site_doctor, patient_name="Late", label=Label.PNEUMONIA, **film)
    other = Reading.objects.get(patient_name="Renamed")
    other.save()  # as an edit in another tab does
    expect(page.get_by_role("link", name="Renamed", exact=False).first).to_be_focused()
    expect(page.locator("tr[data-row]").first).to_contain_text("Renamed")
    page.get_by_role("button", name="1 new").click()
    expect(page.get_by_role("row").filter(has_text="Late")).to_be_visible()
