"""Redacting and posting a case in a browser: by mouse, by keyboard and without JavaScript."""

import hashlib
import io

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from diagnosis import board as boards
from diagnosis import storage
from diagnosis.models import Reading
from tests.e2e.conftest import new_context, sign_in
from tests.factories import ReadingFactory
from tests.fake_board import FakeBoard
from tests.films import encode, synthetic_film


@pytest.fixture
def board(monkeypatch) -> FakeBoard:
    board = FakeBoard(address="/about/?case=")
    monkeypatch.setattr(boards, "_boards", [board])
    return board


@pytest.fixture
def reading(site, site_doctor) -> Reading:
    film = encode(synthetic_film("PNEUMONIA", seed=6, size=1000), "jpeg")
    sha256 = hashlib.sha256(film).hexdigest()
    storage.keep(storage.original_name(sha256), film)
    return ReadingFactory(doctor=site_doctor, film_sha256=sha256, film_width=1000, film_height=1000)


def open_form(page: Page, site: str, reading: Reading) -> None:
    sign_in(page, site, reading.doctor.email)
    page.goto(f"{site}/readings/{reading.pk}/")
    page.get_by_role("link", name="Share as a case").click()
    page.wait_for_url("**/share/")
    page.locator("select[name=category]").select_option("7")


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Drag over the film between points, given as fractions of its size."""
    canvas = page.locator("[data-canvas]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def boxes(page: Page) -> list[list[float]]:
    lines = page.locator("[data-field]").input_value().splitlines()
    return [[round(float(part)) for part in line.split()] for line in lines]


def posted(board: FakeBoard) -> np.ndarray:
    (case,) = board.cases
    with Image.open(io.BytesIO(case["picture"])) as picture:
        return np.asarray(picture)


def post(page: Page) -> None:
    page.get_by_role("button", name="Preview post").click()
    page.get_by_label("I have checked image and text").check()
    page.get_by_role("button", name="Post to discussion board").click()
    page.wait_for_url("**/about/?case=1")


def test_boxes_are_drawn_moved_and_removed(page: Page, site, reading, board):
    open_form(page, site, reading)
    expect(page.locator("[data-field]")).to_be_hidden()
    drag(page, (0.7, 0.02), (0.9, 0.12))
    assert boxes(page) == [[70, 2, 20, 10]]
    drag(page, (0.8, 0.07), (0.7, 0.17))
    assert boxes(page) == [[60, 12, 20, 10]]
    drag(page, (0.8, 0.22), (2.0, 0.32))
    assert boxes(page) == [[60, 12, 40, 20]], "the corner resizes the box, up to the edge"
    drag(page, (0.1, 0.9), (0.4, 0.95))
    page.get_by_role("button", name="Remove box 1").click()
    assert boxes(page) == [[10, 90, 30, 5]]
    page.get_by_role("button", name="Undo").click()
    assert len(boxes(page)) == 2
    page.get_by_role("button", name="Remove all").click()
    assert boxes(page) == []
    expect(page.locator("[data-said]")).to_have_text("All boxes removed.")
    drag(page, (0.5, 0.5), (0.5, 0.5))
    assert boxes(page) == [], "a click draws nothing"
    drag(page, (0.75, 0.1), (0.5, 0.05))
    post(page)
    drawn = posted(board)
    height, width = drawn.shape
    beside = drawn[int(0.052 * height) : int(0.098 * height)]
    assert (beside[:, int(0.502 * width) : int(0.748 * width)] == 0).all()
    assert beside[:, int(0.775 * width) :].max() > 0


def test_boxes_by_keyboard(page: Page, site, reading, board):
    open_form(page, site, reading)
    page.locator("[data-canvas]").focus()
    page.keyboard.press("Enter")
    assert boxes(page) == [[40, 40, 20, 8]]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert boxes(page) == [[41, 39, 19, 9]]
    expect(page.locator("[data-said]")).to_contain_text("41% from the left")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Box 1:").focus()
    page.keyboard.press("ArrowRight")
    assert boxes(page)[0] == [42, 39, 19, 9]
    page.keyboard.press("Delete")
    assert len(boxes(page)) == 1
    page.keyboard.press("Control+z")
    assert len(boxes(page)) == 2
    page.get_by_role("button", name="Preview post").click()
    page.get_by_role("button", name="Back").click()
    assert len(boxes(page)) == 2, "going back keeps the boxes"


def test_invalid_boxes_are_kept_for_correction(page: Page, site, reading, board):
    open_form(page, site, reading)
    page.locator("[data-field]").evaluate("field => { field.value = '1 1 5 5\\nno box'; }")
    page.get_by_role("button", name="Preview post").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 2 is not a box on the image.")
    expect(page.locator("[data-field]")).to_have_value("1 1 5 5\nno box")
    expect(page.locator("[data-canvas]")).to_be_hidden()


def test_boxes_without_javascript(browser, site, reading, board):
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    open_form(page, site, reading)
    expect(page.locator("[data-canvas]")).to_be_hidden()
    page.get_by_role("textbox", name="Black boxes").fill("0 0 50 50")
    post(page)
    assert (posted(board)[:400, :400] == 0).all()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("language", "width"), [("en", 1440), ("zh-hant", 360), ("en", 360)])
def test_sharing_pages_are_accessible_and_fit(
    browser, site, reading, board, language, width, theme
):
    context = new_context(browser, language=language, width=width)
    page = context.new_page()
    page.emulate_media(color_scheme=theme)
    sign_in(page, site, reading.doctor.email)
    page.goto(f"{site}/readings/{reading.pk}/share/")
    drag(page, (0.7, 0.02), (0.9, 0.12))
    page.locator("select[name=category]").select_option("7")
    for step in ("edit", "preview"):
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, step
        found = Axe().run(page).response["violations"]
        assert found == [], [(rule["id"], rule["nodes"][0]["html"]) for rule in found]
        if step == "edit":
            page.locator("button[value=preview]").click()
            expect(page.locator(".case-picture")).to_be_visible()
    context.close()
