"""Forms in a browser: one film and its very bytes, every reading's assessment, the language."""

import base64
import hashlib
import re

import pytest
from playwright.sync_api import Page, expect

from diagnosis import storage
from diagnosis.models import Label, Reading
from tests.e2e.conftest import new_context, sign_in
from tests.factories import ReadingFactory
from tests.films import encode, encode_dicom, synthetic_film

CHINESE = ".language-choice[value='zh-hant']"
# Drops files on an element; a folder's entry says that it is a directory, as Chromium's does.
DROP = """async ([selector, files, kind]) => {
  const target = document.querySelector(selector);
  const transfer = new DataTransfer();
  for (const [name, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  }
  if (kind === "text") transfer.items.add("https://example.org/film.jpg", "text/uri-list");
  if (kind === "folder") {
    DataTransferItem.prototype.webkitGetAsEntry = () => ({
      isDirectory: true,
      createReader: () => ({ readEntries: (found) => found([]) }),
    });
  }
  const event = new DragEvent("drop", {
    bubbles: true, cancelable: true, dataTransfer: transfer,
  });
  target.dispatchEvent(event);
  return event.defaultPrevented;
}"""
# Keeps what image URLs stand for; the content security policy lets nothing fetch them.
KEEP_BLOBS = """
  window.blobs = {};
  const create = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    const url = create(blob);
    window.blobs[url] = blob;
    return url;
  };
"""
# Keeps the SHA-256 of the file that the server is asked to show.
KEEP_INSPECTED = """() => {
  const original = window.fetch;
  window.fetch = async (url, options) => {
    const bytes = await options.body.get("film").arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    window.inspected = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return original(url, options);
  };
}"""
PREVIEWED = """async () => {
  const blob = window.blobs[document.querySelector("[data-preview] img").src];
  const bytes = await blob.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}"""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for number in (1, 2):
        pixels = synthetic_film("PNEUMONIA", seed=number, size=512)
        (folder / f"film{number}.jpg").write_bytes(encode(pixels, "jpeg"))
    dicom = encode_dicom(pixels, patient_name="Chen^Mei", patient_id="D77", age="004Y")
    (folder / "film.dcm").write_bytes(dicom)
    return folder


def stored(doctor, films, **fields) -> Reading:
    """Return a reading of a film that is in storage."""
    film = (films / "film1.jpg").read_bytes()
    digest = hashlib.sha256(film).hexdigest()
    storage.keep(storage.original_name(digest), film)
    size = {"film_width": 512, "film_height": 512}
    return ReadingFactory(doctor=doctor, film_sha256=digest, **size, **fields)


def drop(page: Page, selector: str, *paths, kind: str = "") -> bool:
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]
    return page.evaluate(DROP, [selector, files, kind])


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def form(page: Page, site, site_doctor) -> Page:
    page.add_init_script(KEEP_BLOBS)
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=patient_name]").fill("陳小明")
    page.locator("input[name=patient_age_years]").fill("3")
    return page


def test_several_files_are_refused_before_anything_is_sent(form: Page, films):
    sent: list[str] = []
    form.on("request", lambda request: sent.append(request.method))
    drop(form, "[data-drop]", films / "film1.jpg", films / "film2.jpg")
    expect(form.locator("[data-film-error]")).to_contain_text("You chose 2 files.")
    expect(form.locator("[data-preview]")).to_be_hidden()
    assert form.locator("input[name=film]").evaluate("input => input.files.length") == 0
    expect(form.locator("input[name=patient_name]")).to_have_value("陳小明")
    assert "POST" not in sent
    # A file chosen before does not stay behind the message.
    drop(form, "[data-drop]", films / "film1.jpg")
    expect(form.locator("[data-preview]")).to_be_visible()
    drop(form, "[data-drop]", films / "film1.jpg", films / "film2.jpg")
    form.locator("main form[data-upload] button[type=submit]").click()
    expect(form.locator("[data-error-summary]")).to_be_visible()
    assert not Reading.objects.exists()


@pytest.mark.parametrize(
    ("kind", "message"), [("folder", "A folder cannot be read."), ("text", "That is not a file.")]
)
def test_a_folder_or_a_link_is_refused(form: Page, films, kind, message):
    paths = [films / "film1.jpg"] if kind == "folder" else []
    assert drop(form, "[data-drop]", *paths, kind=kind)
    expect(form.locator("[data-film-error]")).to_contain_text(message)
    expect(form.locator("[data-preview]")).to_be_hidden()


def test_a_file_dropped_elsewhere_does_not_replace_the_page(form: Page, films):
    assert drop(form, "h1", films / "film1.jpg"), "the browser would open the file"
    expect(form.locator("[data-film-error]")).to_contain_text("Drop the X-ray on the dark area.")
    expect(form.locator("input[name=patient_name]")).to_have_value("陳小明")


@pytest.mark.parametrize("way", ["drop", "dialog"])
def test_the_bytes_shown_are_the_bytes_sent(form: Page, films, way, site):
    if way == "drop":
        drop(form, "[data-drop]", films / "film1.jpg")
        expect(form.locator("[data-preview]")).to_be_visible()
        drop(form, "[data-drop]", films / "film2.jpg")
    else:
        for number in (1, 2):
            form.locator("input[name=film]").set_input_files(films / f"film{number}.jpg")
    expect(form.locator("[data-preview] figcaption")).to_contain_text("film2.jpg")
    shown = form.evaluate(PREVIEWED)
    form.locator("main form[data-upload] button[type=submit]").click()
    form.wait_for_url("**/readings/*-*-*-*-*/")
    assert shown == sha256(films / "film2.jpg") == Reading.objects.get().film_sha256


def test_a_file_replaced_on_the_disk_is_sent_as_it_was_shown(form: Page, films, tmp_path):
    path = tmp_path / "film.jpg"
    path.write_bytes((films / "film1.jpg").read_bytes())
    form.locator("input[name=film]").set_input_files(path)
    expect(form.locator("[data-preview]")).to_be_visible()
    path.write_bytes((films / "film2.jpg").read_bytes())
    form.locator("main form[data-upload] button[type=submit]").click()
    form.wait_for_url("**/readings/*-*-*-*-*/")
    assert Reading.objects.get().film_sha256 == sha256(films / "film1.jpg")


def test_a_dicom_preview_is_of_the_bytes_sent(form: Page, films):
    form.evaluate(KEEP_INSPECTED)
    for name in ("patient_name", "patient_age_years"):
        form.locator(f"input[name={name}]").fill("")
    form.locator("input[name=film]").set_input_files(films / "film.dcm")
    expect(form.locator("input[name=patient_number]")).to_have_value("D77")
    assert form.evaluate("window.inspected") == sha256(films / "film.dcm")
    form.locator("main form[data-upload] button[type=submit]").click()
    form.wait_for_url("**/readings/*-*-*-*-*/")
    assert Reading.objects.get().film_sha256 == sha256(films / "film.dcm")


# Point 11 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [Label.OUT_OF_SCOPE, Label.UNSURE])
def test_a_film_without_a_label_gets_the_doctors_assessment(
    page: Page, site, site_doctor, films, label
):
    reading = stored(site_doctor, films, label=label, scope_reasons=["picture"])
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/{reading.pk}/")
    page.locator("input[name=verdict][value=PNEUMONIA]").check()
    page.get_by_role("button", name="Sign opinion").click()
    expect(page.locator("#own-reading")).to_contain_text("Signed opinion")
    reading.refresh_from_db()
    assert (reading.review.verdict, reading.agreement) == ("PNEUMONIA", "")
    expect(page.locator("main")).not_to_contain_text("differs from the model")


# Point 15 ------------------------------------------------------------------------------------


def test_switching_the_language_keeps_the_film_and_the_fields(form: Page, films, site):
    form.locator("input[name=film]").set_input_files(films / "film1.jpg")
    expect(form.locator("[data-preview]")).to_be_visible()
    shown = form.evaluate(PREVIEWED)
    form.locator("input[name=patient_number]").fill("A123")
    loads: list[str] = []
    form.on("framenavigated", lambda frame: loads.append(frame.url))
    form.locator(CHINESE).click()
    expect(form.locator("html")).to_have_attribute("lang", "zh-hant")
    expect(form.locator("h1")).to_have_text(re.compile("[一-鿿]"))
    expect(form.locator("label[for=id_patient_name]")).to_have_text(re.compile("[一-鿿]"))
    expect(form.locator("[data-send-label]")).to_have_text(re.compile("[一-鿿]"))
    assert loads == [], "no page was loaded"
    assert form.locator("input[name=film]").evaluate("input => input.files.length") == 1
    expect(form.locator("[data-preview] figcaption")).to_contain_text("film1.jpg")
    expect(form.locator("input[name=patient_name]")).to_have_value("陳小明")
    expect(form.locator("input[name=patient_number]")).to_have_value("A123")
    assert form.evaluate(PREVIEWED) == shown
    form.locator("main form[data-upload] button[type=submit]").click()
    form.wait_for_url("**/readings/*-*-*-*-*/")
    reading = Reading.objects.get()
    assert (reading.film_sha256, reading.patient_number) == (shown, "A123")
    expect(form.locator("html")).to_have_attribute("lang", "zh-hant")


def test_messages_of_the_script_follow_the_language(form: Page, films):
    drop(form, "[data-drop]", films / "film1.jpg", films / "film2.jpg")
    form.locator(CHINESE).click()
    expect(form.locator("[data-film-error]")).to_contain_text("2 個檔案")


def test_switching_the_language_keeps_other_forms(page: Page, site, site_doctor, films):
    reading = stored(site_doctor, films)
    sign_in(page, site, site_doctor.email)
    filled = {
        f"/readings/{reading.pk}/edit/": ("[name=patient_name]", "林小美"),
        f"/readings/{reading.pk}/": ("[name=note]", "thymus"),
        f"/readings/{reading.pk}/share/": ("[name=body]", "What is this?"),
        "/forum/new/": ("[name=body]", "Who has seen this?"),
    }
    for address, (selector, value) in filled.items():
        page.goto(f"{site}{address}")
        field = page.locator(f"main {selector}").first
        field.fill(value)
        for language in ("zh-hant", "en"):
            page.locator(f".language-choice[value='{language}']").click()
            expect(page.locator("html")).to_have_attribute("lang", language)
            expect(field).to_have_value(value)
        heading = page.locator("h1").locator("visible=true")
        expect(heading).not_to_have_text(re.compile("判讀|主題"))


def test_switching_the_language_keeps_an_application(page: Page, site):
    page.goto(f"{site}/accounts/signup/")
    page.locator("input[name=email]").fill("new@example.org")
    page.locator("input[name=password1]").fill("a long pass phrase")
    page.locator(CHINESE).click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hant")
    expect(page.locator("input[name=email]")).to_have_value("new@example.org")
    expect(page.locator("input[name=password1]")).to_have_value("a long pass phrase")
    expect(page.locator("h1")).to_have_text(re.compile("[一-鿿]"))


def test_a_failed_switch_says_so_and_keeps_the_form(browser, site, site_doctor):
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=patient_name]").fill("陳小明")
    context.set_offline(True)
    page.locator(CHINESE).click()
    failure = page.locator("[data-language-failure]")
    expect(failure).to_contain_text("Nothing that you entered was lost")
    expect(page.locator("input[name=patient_name]")).to_have_value("陳小明")
    context.set_offline(False)
    page.locator(CHINESE).click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hant")
    expect(failure).to_have_count(0)
    context.close()


# Point 13 ------------------------------------------------------------------------------------


def test_the_heatmap_is_loaded_only_when_asked_for(page: Page, site, site_doctor, films):
    reading = stored(site_doctor, films, label=Label.PNEUMONIA)
    sign_in(page, site, site_doctor.email)
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(f"{site}/readings/{reading.pk}/", wait_until="networkidle")
    expect(page.locator("[data-heat]")).to_be_hidden()
    expect(page.locator(".legend")).to_be_hidden()
    assert not [url for url in loaded if url.endswith("/heatmap/")]
    page.locator("summary[aria-label=Overlays]").click()
    page.get_by_role("switch", name="Heatmap").check()
    expect(page.locator("[data-heat]")).to_be_visible()
    expect(page.locator(".legend")).to_contain_text("supports pneumonia")
    page.locator("[data-heat]").evaluate("image => image.decode()")
    page.goto(f"{site}/accounts/profile/")
    page.get_by_label("Show the heatmap at once").check()
    page.get_by_role("button", name="Save changes").click()
    page.goto(f"{site}/readings/{reading.pk}/")
    expect(page.locator("[data-heat]")).to_be_visible()


# Search --------------------------------------------------------------------------------------


def test_a_live_search_leaves_no_name_in_the_history(page: Page, site, site_doctor, films):
    for name in ("陳小明", "林小美"):
        stored(site_doctor, films, patient_name=name)
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/")
    visited: list[str] = []
    page.on("request", lambda request: visited.append(request.url))
    page.locator("input[name=q]").press_sequentially("陳小明")
    expect(page.locator("#reading-results")).not_to_contain_text("林小美")
    page.wait_for_url(re.compile(r"/readings/\?search=[\w-]+$"))
    page.reload()
    expect(page.locator("#reading-results")).to_contain_text("陳小明")
    expect(page.locator("#reading-results")).not_to_contain_text("林小美")
    expect(page.locator("input[name=q]")).to_have_value("陳小明")
    page.locator(".readings-link", has_text="陳小明").first.click()
    expect(page).to_have_title(re.compile(r"^\s*Reading"))
    page.go_back()
    expect(page.locator("#reading-results")).to_contain_text("陳小明")
    page.evaluate("history.back()")
    expect(page.locator("#reading-results")).to_contain_text("林小美")
    assert not [url for url in visited if "%E9%99%B3" in url or "陳" in url]


def test_searching_without_javascript(browser, site, site_doctor):
    ReadingFactory(doctor=site_doctor, patient_name="陳小明")
    ReadingFactory(doctor=site_doctor, patient_name="林小美")
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/")
    page.locator("input[name=q]").fill("陳小明")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#reading-results")).not_to_contain_text("林小美")
    assert re.search(r"/readings/\?search=[\w-]+$", page.url)
    context.close()


def test_switching_the_language_without_javascript_keeps_the_form(browser, site, site_doctor):
    context = new_context(browser)
    sign_in(context.new_page(), site, site_doctor.email)
    # The same session in a browser without scripts.
    plain = browser.new_context(
        java_script_enabled=False, storage_state=context.storage_state(), locale="en-US"
    )
    page = plain.new_page()
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=patient_name]").fill("陳小明")
    with plain.expect_page() as opened:
        page.locator(CHINESE).click()
    expect(opened.value.locator("html")).to_have_attribute("lang", "zh-hant")
    assert page.locator("input[name=patient_name]").input_value() == "陳小明"
    plain.close()
    context.close()
