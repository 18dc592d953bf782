"""The viewer in a browser: windows on stored values, measurements, films side by side, keys."""

import datetime
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import User
from diagnosis.models import Label, Reading
from diagnosis.services.films import original_film
from mlcore.engine.films.film import read_plane
from tests.diagnosis.test_services import submit
from tests.e2e.conftest import sign_in
from tests.films import encode_dicom, synthetic_film

# Grey level of the canvas's pixel in the middle of the stage.
MIDDLE = """() => {
  const canvas = document.querySelector(".viewer-canvas");
  const at = [canvas.width / 2, canvas.height / 2, 1, 1];
  return canvas.getContext("2d").getImageData(...at).data[0];
}"""
# Most difference between the two renderers' pixels, at a few views, with and without a lens.
DIFFERENCE = """async (url) => {
  const load = (name) => import(`/static/js/viewer/${name}.js`);
  const { fetchSource } = await load("source");
  const { greyLevels } = await load("tone");
  const { View } = await load("geometry");
  const { frameOf } = await load("frames");
  const { WebGlRenderer } = await load("webgl");
  const { CanvasRenderer } = await load("canvas");
  const source = await fetchSource(url);
  const [one, two] = [0, 1].map(() => new OffscreenCanvas(300, 200));
  const card = WebGlRenderer.on(one, { always: true });
  if (!card) return null;
  const processor = new CanvasRenderer(two);
  for (const renderer of [card, processor]) {
    renderer.load(source);
    renderer.setTone(greyLevels(source, source.tones[0], false));
  }
  const view = new View();
  view.film = { width: source.width, height: source.height };
  view.stage = { width: 300, height: 200 };
  view.fit();
  const pixels = (canvas) => {
    const copy = new OffscreenCanvas(300, 200).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    return copy.getImageData(0, 0, 300, 200).data;
  };
  const shares = [];
  for (const change of [() => {}, () => view.zoomTo(1), () => view.turn(1), () => view.flip()]) {
    change();
    for (const lens of [null, { x: 140, y: 90, radius: 50, zoom: 2.5 }]) {
      card.draw(frameOf(view, source, one, lens));
      processor.draw(frameOf(view, source, two, lens));
      const [a, b] = [pixels(one), pixels(two)];
      shares.push(a.filter((level, i) => Math.abs(level - b[i]) > 2).length / a.length);
    }
  }
  return Math.max(...shares);
}"""


def film_of(doctor: User, *, seed: int = 7, days: int = 0, **options: Any) -> Reading:
    """Return a reading of a 12-bit film with a size of pixels, examined `days` before the first."""
    film = encode_dicom(
        synthetic_film("PNEUMONIA", seed=seed, size=640),
        bits=12, patient_name="陳小明", patient_id="A123", ImagerPixelSpacing=[0.2, 0.2],
        WindowCenter=[2048, 1500], WindowWidth=[4096, 1000],
        WindowCenterWidthExplanation=["NORMAL", "HARDER"], **options,
    )  # fmt: skip
    reading = submit(doctor, film)
    day = datetime.date(2026, 1, 2) - datetime.timedelta(days=days)
    # The model rightly finds synthetic films out of scope, which have no heatmap.
    Reading.objects.filter(pk=reading.pk).update(label=Label.NORMAL, exam_date=day)
    return Reading.objects.get(pk=reading.pk)


def opened(page: Page, site: str, reading: Reading) -> Locator:
    """Open the reading's page, wait for the stored depth, and return the film's stage."""
    page.goto(f"{site}{reading.get_absolute_url()}")
    expect(page.locator("[data-depth]").first).to_have_text("12-bit values")
    return page.locator("[data-stage]").first


def window_of(page: Page, pane: int = 0) -> tuple[int, int]:
    text = page.locator("[data-window]").nth(pane).inner_text()
    centre, width = re.findall(r"-?\d+", text)
    return int(centre), int(width)


def drag(page: Page, stage: Locator, x: int, y: int, *, button: Any = "left") -> None:
    """Press in the middle of the stage and release at a distance."""
    box = stage.bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down(button=button)
    page.mouse.move(middle[0] + x, middle[1] + y, steps=4)
    page.mouse.up(button=button)


def middle_level(page: Page) -> int:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return int(page.evaluate(MIDDLE))


def expected_level(reading: Reading, centre: int, width: int) -> float:
    """Return the grey level of the film's middle in a window, by PS3.3 C.11.2.1.2."""
    values = read_plane(original_film(reading)).values
    low = centre - 0.5 - (width - 1) / 2
    middle = values[319:321, 319:321].mean()
    return float(np.clip((middle - low) / (width - 1) * 255, 0, 255))


def test_windows_measurements_and_keys(page: Page, site, site_doctor):
    reading = film_of(site_doctor)
    sign_in(page, site, site_doctor.email)
    stage = opened(page, site, reading)
    expect(stage).to_be_focused()
    assert page.evaluate("scrollY") == 0
    for overlay in ("heat", "lungs", "scope"):
        expect(page.locator(f"[data-{overlay}-on]:checked")).to_have_count(0)

    page.keyboard.press(".")
    expect(page.locator("[data-scale]")).to_have_text("100%")
    assert window_of(page) == (2048, 4096)
    assert middle_level(page) == pytest.approx(expected_level(reading, 2048, 4096), abs=2)
    drag(page, stage, -150, 40)
    centre, width = window_of(page)
    assert width == pytest.approx(4096 - 0.3 * 4095, abs=2)
    assert centre == pytest.approx(2048 + 0.08 * 4095, abs=2)
    assert middle_level(page) == pytest.approx(expected_level(reading, centre, width), abs=2)
    page.keyboard.press("7")  # after the default, the file's own windows
    assert window_of(page) == (1500, 1000)
    shown = middle_level(page)
    page.keyboard.press("i")
    assert middle_level(page) == 255 - shown
    page.keyboard.press("m")
    drag(page, stage, 40, 30, button="right")
    assert window_of(page) != (1500, 1000), "the right button windows, whatever the tool"

    page.keyboard.press("r")
    drag(page, stage, 100, 0)
    marks = page.locator(".viewer-mark-text")
    expect(marks).to_have_text("20.0 mm")
    expect(page.locator("[data-spacing]")).to_contain_text("on the detector")
    page.keyboard.press("ArrowRight")  # the end that was set last keeps the focus
    expect(marks).to_have_text("20.0 mm")
    stage.focus()
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    expect(marks.last).to_contain_text("CTR 0.42 (32.0 mm / 76.8 mm)")
    page.keyboard.press("Shift+ArrowRight")
    expect(marks.last).to_contain_text("CTR 0.39 (30.0 mm / 76.8 mm)")
    page.keyboard.press("Delete")
    expect(marks).to_have_count(1)

    page.keyboard.press("t")
    page.keyboard.press("z")
    assert window_of(page) == (2048, 4096)
    page.keyboard.press("h")
    heat = page.locator("[data-heat]")
    expect(heat).to_be_visible()
    page.keyboard.press("]")
    expect(heat).to_have_css("opacity", "0.7")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys of the viewer")
    expect(keys).to_contain_text("Ruler")
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()

    differing = page.evaluate(DIFFERENCE, f"{site}/readings/{reading.pk}/pixels/")
    assert differing is None or differing < 0.005, "both renderers draw the same"


def test_films_side_by_side(page: Page, site, site_doctor):
    reading = film_of(site_doctor)
    film_of(site_doctor, seed=9, days=42)
    sign_in(page, site, site_doctor.email)
    opened(page, site, reading)
    page.keyboard.press("b")
    panes = page.locator(".viewer-pane")
    expect(panes).to_have_count(2)
    # From the patient's page, the other X-ray is open at once.
    page.goto(f"{site}/patients/{reading.study.patient_id}/")
    page.get_by_role("link", name=f"Compare {reading.exam_date}").click()
    expect(panes).to_have_count(2)
    expect(panes.nth(1)).to_contain_text("2025-11-21 · 42 days earlier")
    expect(page.locator("[data-depth]").nth(1)).to_have_text("12-bit values")

    scales = page.locator("[data-scale]")
    fitted = scales.all_inner_texts()
    page.keyboard.press("+")
    expect(scales.nth(1)).not_to_have_text(fitted[1])
    drag(page, panes.nth(0).locator("[data-stage]"), 100, 0)
    assert window_of(page, 0) == window_of(page, 1) != (2048, 4096)
    page.keyboard.press("u")
    zoomed = scales.nth(1).inner_text()
    page.keyboard.press("+")
    assert scales.nth(1).inner_text() == zoomed, "unlinked"
    page.keyboard.press("x")
    expect(panes.nth(0)).to_contain_text("42 days earlier")
    page.locator("[data-do=close-other]").click()
    expect(panes).to_have_count(1)

    submit(site_doctor, encode_dicom(
        synthetic_film("NORMAL", seed=3, size=500), patient_name="陳小明", patient_id="A123"
    ))  # fmt: skip
    Reading.objects.filter(film_width=500).update(patient_number="B9", patient_number_key="b9")
    page.locator("summary[aria-label^=Compare]").click()
    page.get_by_role("button", name="Another X-ray").click()
    page.get_by_label("Patient's name or number").fill("B9")
    with page.expect_response("**/pixels/"):
        page.locator("[data-found] a").filter(has_text="B9").click()
    expect(panes.nth(1)).to_contain_text("same day")
    assert "B9" not in page.url


def test_without_the_stored_depth_the_preview_is_windowed(page: Page, site, site_doctor):
    reading = film_of(site_doctor)
    sign_in(page, site, site_doctor.email)
    body = "The film is too large."
    page.route("**/pixels/", lambda route: route.fulfill(status=200, body=body))
    page.goto(f"{site}{reading.get_absolute_url()}")
    expect(page.locator("[data-depth]")).to_contain_text("8-bit preview")
    stage = page.locator("[data-stage]")
    assert window_of(page) == (128, 256)
    drag(page, stage, -100, 0, button="right")
    assert window_of(page)[1] == pytest.approx(256 - 0.2 * 255, abs=1)


def test_two_fingers_zoom_and_window(browser, site, site_doctor):
    reading = film_of(site_doctor)
    context = browser.new_context(
        locale="en-US", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    stage = opened(page, site, reading)
    box = stage.bounding_box()
    assert box
    assert box["y"] < 250, "the film begins on the first screen of a phone"
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = context.new_cdp_session(page)

    def touch(*steps: list[tuple[float, float]]) -> None:
        """Put fingers at the first places, move them to the others, and lift them."""
        for kind, places in zip(
            ["touchStart", *["touchMove"] * (len(steps) - 1)], steps, strict=True
        ):
            points = [{"x": x + dx, "y": y + dy, "id": i} for i, (dx, dy) in enumerate(places)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    scale, window = page.locator("[data-scale]").inner_text(), window_of(page)
    touch([(-30, 0), (30, 0)], [(-45, 0), (45, 0)], [(-60, 0), (60, 0)])
    assert page.locator("[data-scale]").inner_text() != scale
    assert window_of(page) == window
    scale = page.locator("[data-scale]").inner_text()
    touch([(-30, 0), (30, 0)], [(-10, 0), (50, 0)], [(10, 0), (70, 0)], [(30, 0), (90, 0)])
    assert window_of(page)[1] > window[1], "less contrast"
    assert page.locator("[data-scale]").inner_text() == scale
    context.close()
