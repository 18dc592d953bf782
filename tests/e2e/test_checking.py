"""The page that asks for decisions before a reading is saved, in a browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from diagnosis.models import Reading
from tests.e2e.conftest import new_context, settle, sign_in
from tests.films import encode, encode_dicom, synthetic_film

BECAUSE = "The technician picked the father from the worklist."
READING = re.compile(r"/readings/[0-9a-f-]{36}/(#.*)?$")
CHECK = re.compile(r"/readings/new/check/[0-9a-f-]{36}/$")


@pytest.fixture
def films(tmp_path):
    pixels = synthetic_film("PNEUMONIA", seed=7, size=512)
    father = encode_dicom(
        pixels, patient_name="Lin^Hao", patient_id="B9", age="062Y", study_date="20260105",
        PatientSex="M", birth_date="19631120",
    )  # fmt: skip
    (tmp_path / "father.dcm").write_bytes(father)
    (tmp_path / "film.png").write_bytes(encode(pixels, "png"))
    return tmp_path


def fill(page: Page, site: str, film, **fields: str) -> None:
    """Choose a film, then type over whatever the file filled in."""
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=film]").set_input_files(film)
    if film.suffix == ".dcm":
        expect(page.locator("input[name=patient_number]")).to_have_value("B9")
    for name, value in fields.items():
        page.locator(f"input[name={name}]").fill(value)


CHILD = {
    "patient_name": "陳小明",
    "patient_number": "A123",
    "patient_birth_date": "",
    "patient_age_years": "3",
}


def test_file_and_form_disagree(lenient_model, page: Page, site, site_doctor, films):
    uploads: list[int] = []
    page.on(
        "request",
        lambda sent: (
            uploads.append(len(sent.post_data_buffer or b""))
            if sent.method == "POST" and "/readings/new/" in sent.url
            else None
        ),
    )
    sign_in(page, site, site_doctor.email)
    fill(page, site, films / "father.dcm", **CHILD)
    page.locator("select[name=patient_sex]").select_option("F")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(CHECK)
    settle(page)
    assert not Reading.objects.exists()
    uploads.clear()

    page.get_by_role("button", name="Read X-ray").click()
    summary = page.locator("[data-error-summary]")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("listitem")).to_have_count(4)
    summary.get_by_role("link", name="Sex").click()
    expect(page.locator("#id_choose_patient_sex_0")).to_be_focused()

    name = page.get_by_role("group", name="Patient's name")
    name.get_by_role("radio", name="The file is right").focus()
    page.keyboard.press("ArrowRight")
    expect(name.get_by_role("radio", name="The form is right")).to_be_checked()
    name.get_by_role("textbox").fill(BECAUSE)
    for field in ("Patient number", "Sex"):
        group = page.get_by_role("group", name=field)
        group.get_by_role("radio", name="The form is right").check()
        group.get_by_role("textbox").fill(BECAUSE)
    age = page.get_by_role("group", name="Age")
    age.get_by_role("radio", name="wrong or belongs to somebody else").check()
    age.get_by_role("textbox").fill(BECAUSE)
    page.get_by_role("button", name="Read X-ray").click()
    page.wait_for_url(READING)
    reading = Reading.objects.get()
    assert (reading.patient_name, reading.patient_age_years) == ("陳小明", 3)
    assert reading.header_disowned
    assert reading.label != "OUT_OF_SCOPE"
    expect(page.locator("main")).to_contain_text(BECAUSE)
    expect(page.locator("main")).to_contain_text("62 years")
    assert max(uploads) < 5000, "the film is not uploaded again"


def test_a_wrong_file_leads_back_to_the_form(page: Page, site, site_doctor, films):
    sign_in(page, site, site_doctor.email)
    fill(page, site, films / "father.dcm", **CHILD)
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(CHECK)
    page.get_by_role("button", name="Wrong file").click()
    page.wait_for_url("**/readings/new/?draft=*")
    for field, value in CHILD.items():
        expect(page.locator(f"input[name={field}]")).to_have_value(value)
    expect(page.locator("input[name=film]")).to_have_value("")
    assert not Reading.objects.exists()
    page.locator("input[name=film]").set_input_files(films / "film.png")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(READING)
    assert Reading.objects.get().patient_name == "陳小明"


@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_fits_and_survives_a_change_of_language(
    width, browser, site, site_doctor, films, page
):
    sign_in(page, site, site_doctor.email)
    fill(page, site, films / "father.dcm", **CHILD)
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(CHECK)
    context = new_context(browser, language="zh-hant", width=width)
    context.add_cookies(
        [{**cookie, "sameSite": "Lax"} for cookie in page.context.cookies()]  # type: ignore[misc]
    )
    chinese = context.new_page()
    chinese.goto(page.url)
    expect(chinese.locator("main")).to_contain_text("檔案正確")
    expect(chinese.locator("main")).to_contain_text("陳小明")
    assert chinese.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check before saving")


def test_the_same_xray_under_another_patient(page: Page, site, site_doctor, films):
    sign_in(page, site, site_doctor.email)
    fill(page, site, films / "film.png", patient_name="陳小明", patient_age_years="3")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(READING)
    settle(page)
    first = Reading.objects.get()

    fill(page, site, films / "film.png", patient_name="林小美", patient_age_years="4")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(CHECK)
    link = page.get_by_role("link", name="Open the reading for 陳小明")
    assert (link.get_attribute("href") or "").endswith(first.get_absolute_url())
    page.get_by_role("button", name="Read X-ray").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("stored under another patient")
    assert Reading.objects.count() == 1
    page.get_by_label("Reason").fill("Twins, mixed up before.")
    page.get_by_role("button", name="Read X-ray").click()
    page.wait_for_url(READING)
    settle(page)
    expect(page.locator("main")).to_contain_text("Twins, mixed up before.")
    assert Reading.objects.count() == 2


def test_the_date_of_birth_gives_the_age(page: Page, site, site_doctor):
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    age = page.locator("input[name=patient_age_years]")
    page.locator("input[name=exam_date]").fill("2026-05-04")
    page.locator("input[name=patient_birth_date]").fill("2022-05-05")
    page.locator("input[name=patient_name]").focus()
    expect(age).to_have_value("3")
    page.locator("input[name=exam_date]").fill("2026-05-05")
    page.locator("input[name=patient_name]").focus()
    expect(age).to_have_value("4")
    age.fill("9")
    page.locator("input[name=exam_date]").fill("2026-05-06")
    page.locator("input[name=patient_name]").focus()
    expect(age).to_have_value("9")


def test_without_javascript(browser, site, site_doctor, films):
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=film]").set_input_files(films / "father.dcm")
    page.locator("input[name=exam_date]").fill("2026-01-05")
    page.locator("input[name=patient_age_years]").fill("3")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(CHECK)
    page.get_by_role("radio", name="The file is right").check()
    page.get_by_role("button", name="Read X-ray").click()
    page.wait_for_url(READING)
    assert Reading.objects.get().patient_age_years == 62
    context.close()
