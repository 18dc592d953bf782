"""Several X-rays dropped at once, in a browser: each gets its own result or its own error."""

import base64

import pytest
from playwright.sync_api import Page, expect

from diagnosis.models import Reading
from tests.e2e.conftest import new_context, sign_in
from tests.films import encode, encode_dicom, synthetic_film

# Drops files, given as { name: base64 }, on an element.
DROP = """
([selector, files]) => {
  const data = new DataTransfer();
  for (const [name, content] of Object.entries(files)) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], name));
  }
  const target = document.querySelector(selector);
  for (const type of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}
"""  # noqa: E501


SLOW_MS = 30_000


@pytest.fixture(autouse=True)
def _thread(settings) -> None:
    settings.BATCH_THREAD = True


def dicom(seed: int, name: str) -> bytes:
    pixels = synthetic_film("NORMAL", seed=seed, size=300)
    return encode_dicom(
        pixels, patient_name=name, patient_id=f"D{seed}", age="004Y", study_date="20260105"
    )


def dropped(page: Page, selector: str, files: dict[str, bytes]) -> None:
    encoded = {name: base64.b64encode(data).decode() for name, data in files.items()}
    page.evaluate(DROP, [selector, encoded])


def test_several_files_dropped_on_the_form_for_one(page: Page, site, site_doctor):
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    films = {
        "1.dcm": dicom(1, "Chen^Mei"),
        "2.dcm": dicom(2, "Lin^Hua"),
        "3.png": encode(synthetic_film("NORMAL", seed=3, size=300), "png"),
        "notes.jpg": b"these are notes",
    }
    dropped(page, "[data-drop]", films)
    expect(page.locator("[data-film-error]")).to_contain_text("4 files")
    page.get_by_role("button", name="Read all of them as a batch").click()
    rows = page.locator("tr[data-item]")
    expect(rows).to_have_count(4, timeout=SLOW_MS)
    expect(page.locator("#batch-summary")).to_contain_text(
        "2 of 4 read · 1 to complete · 1 not", timeout=SLOW_MS
    )
    expect(rows.filter(has_text="notes.jpg")).to_contain_text("The file is not an image")
    expect(rows.filter(has_text="2.dcm")).to_contain_text("Lin Hua")
    assert Reading.objects.count() == 2

    # The address is the batch's; after loading it again, what has arrived is not sent twice.
    page.reload()
    picture = rows.filter(has_text="3.png")
    picture.locator("input[name$=patient_name]").fill("林小美")
    picture.get_by_role("button", name="Save and read").click()
    expect(picture).to_contain_text("required")
    picture.locator("input[name$=patient_age_years]").fill("3")
    picture.get_by_role("button", name="Save and read").click()
    expect(picture.get_by_role("link", name="3.png")).to_be_visible(timeout=SLOW_MS)
    dropped(page, "form[data-batch]", films | {"4.dcm": dicom(4, "Wu^An")})
    expect(page.locator("[data-outcome]")).to_contain_text("Files sent: 1. Had arrived before: 4.")
    expect(rows).to_have_count(5)
    expect(page.locator("#batch-summary")).to_contain_text("4 of 5 read", timeout=SLOW_MS)
    names = sorted(reading.patient_name for reading in Reading.objects.all())
    assert names == ["Chen Mei", "Lin Hua", "Wu An", "林小美"]


def test_sending_goes_on_when_the_connection_is_back(browser, site, site_doctor):
    context = new_context(browser)  # whose console may have errors
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/batches/new/")
    is_down = [True]
    page.route(
        "**/files/", lambda route: route.abort("failed") if is_down[0] else route.continue_()
    )
    dropped(page, "form[data-batch]", {"1.dcm": dicom(1, "Chen^Mei")})
    expect(page.locator("[data-sending-text]")).to_contain_text("The connection is lost")
    is_down[0] = False
    expect(page.locator("#batch-summary")).to_contain_text("1 of 1 read", timeout=SLOW_MS)
    context.close()
