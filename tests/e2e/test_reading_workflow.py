"""The main workflow in a browser: upload, search, edit and delete a reading."""

import io

import pytest
from django.db import OperationalError
from playwright.sync_api import Page, expect

from diagnosis.models import Reading
from diagnosis.views import readings as reading_views
from tests.e2e.conftest import add_authenticator_app, new_context, settle, sign_in
from tests.films import encode, encode_dicom, synthetic_film


@pytest.fixture
def films(tmp_path):
    pixels = synthetic_film("PNEUMONIA", seed=7, size=1024)
    (tmp_path / "film.jpg").write_bytes(encode(pixels, "jpeg"))
    (tmp_path / "film.dcm").write_bytes(
        encode_dicom(
            pixels, patient_name="Chen^Mei", patient_id="D77", age="004Y", study_date="20260105"
        )
    )
    (tmp_path / "notes.jpg").write_bytes(io.BytesIO(b"this is no film").getvalue())
    return tmp_path


def upload(page: Page, site: str, film, **fields: str) -> None:
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=film]").set_input_files(film)
    for name, value in fields.items():
        page.locator(f"input[name={name}]").fill(value)
    page.locator("main form button[type=submit]").click()


def test_reading_a_film_from_sign_in_to_sign_out(page: Page, site, site_doctor, films):
    page.goto(site)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    sign_in(page, site, site_doctor.email)
    expect(page.locator("main")).to_contain_text("Welcome, Dr")
    expect(page.locator("main")).to_contain_text("王怡君")

    upload(
        page,
        site,
        films / "film.jpg",
        patient_name="陳小明",
        patient_number="A123",
        patient_age_years="3",
    )
    page.wait_for_url("**/readings/*-*-*-*-*/")
    reading = Reading.objects.get()
    assert reading.patient_name == "陳小明"
    expect(page.locator("main")).to_contain_text("陳小明")
    expect(page.locator("main")).to_contain_text(reading.model_name)
    settle(page)
    images = page.locator("main img").all()
    assert len(images) >= 1
    for image in images:
        assert image.evaluate("picture => picture.complete && picture.naturalWidth > 0")

    page.goto(f"{site}/readings/")
    expect(page.locator("#reading-results")).to_contain_text("陳小明")
    page.locator("input[name=q]").fill("nobody of this name")
    expect(page.locator("#reading-results")).not_to_contain_text("陳小明")
    page.locator("input[name=q]").fill("A12")
    expect(page.locator("#reading-results")).to_contain_text("陳小明")

    page.goto(f"{site}/readings/{reading.pk}/edit/")
    page.locator("input[name=patient_name]").fill("林小美")
    page.locator("main form button[type=submit]").first.click()
    expect(page.locator("main")).to_contain_text("The patient's details have been updated.")
    expect(page.locator("main")).to_contain_text("林小美")

    page.get_by_role("button", name="Delete").or_(
        page.get_by_role("link", name="Delete")
    ).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.locator("button[type=submit]").click()
    expect(page.locator("main")).to_contain_text("Reading deleted.")
    expect(page.locator("#reading-results")).not_to_contain_text("林小美")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("main")).to_contain_text("Reading restored.")
    assert not Reading.objects.get().is_hidden

    page.goto(f"{site}/accounts/logout/")
    page.locator("main form button[type=submit]").first.click()
    expect(page).not_to_have_url(f"{site}/accounts/logout/")  # after what waited here is deleted
    page.goto(f"{site}/readings/")
    page.wait_for_url("**/accounts/login/?next=/readings/")


def test_dicom_file_fills_the_form(page: Page, site, site_doctor, films):
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=film]").set_input_files(films / "film.dcm")
    expect(page.locator("input[name=patient_number]")).to_have_value("D77")
    expect(page.locator("input[name=patient_age_years]")).to_have_value("4")
    expect(page.locator("input[name=exam_date]")).to_have_value("2026-01-05")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url("**/readings/*-*-*-*-*/")
    assert Reading.objects.get().film_format == "DICOM"


def test_the_preview_shows_what_of_the_file_is_not_trusted(page: Page, site, site_doctor, films):
    data = encode_dicom(synthetic_film("NORMAL", seed=1, size=400), birth_date="20300101")
    (films / "notice.dcm").write_bytes(data)
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    notices = page.locator("[data-film-notices]")
    expect(notices).to_be_hidden()
    page.locator("input[name=film]").set_input_files(films / "notice.dcm")
    expect(notices).to_contain_text("birth")
    page.locator("input[name=film]").set_input_files(films / "film.dcm")
    expect(page.locator("input[name=patient_number]")).to_have_value("D77")
    expect(notices).to_be_hidden()


def test_a_fault_during_the_preview_is_named(browser, site, site_doctor, films, monkeypatch):
    def locked(film):
        raise OperationalError("database is locked")

    monkeypatch.setattr(reading_views, "keep_inspected", locked)
    # Not the `page` fixture: the browser logs the status 503 as an error.
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=film]").set_input_files(films / "film.dcm")
    error = page.locator("[data-film-error]")
    expect(error).to_contain_text("database")
    expect(error).not_to_contain_text("cannot be reached")
    context.close()


def test_invalid_file_is_refused_and_the_input_kept(site, site_doctor, films, page):
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/new/")
    page.locator("input[name=patient_name]").fill("陳小明")
    page.locator("input[name=patient_age_years]").fill("3")
    page.locator("input[name=film]").set_input_files(films / "notes.jpg")
    page.locator("main form button[type=submit]").click()
    expect(page.locator("main")).to_contain_text("The file is not an image.")
    expect(page.locator("input[name=patient_name]")).to_have_value("陳小明")
    assert not Reading.objects.exists()


def test_reading_a_film_without_javascript(browser, lenient_model, site, site_doctor, films):
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    sign_in(page, site, site_doctor.email)
    upload(page, site, films / "film.jpg", patient_name="A", patient_age_years="3")
    page.wait_for_url("**/readings/*-*-*-*-*/")
    page.get_by_label("Cannot tell").check()
    page.get_by_role("button", name="Sign opinion").click()
    expect(page.locator("#own-reading")).to_contain_text("Cannot tell")
    page.goto(f"{page.url}delete/")
    page.get_by_label("Created by mistake").check()
    page.locator("main form button[type=submit]").first.click()
    expect(page.locator("main")).to_contain_text("Reading deleted.")
    assert Reading.objects.get().hidden_reason == "MISTAKE"
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("main")).to_contain_text("Reading restored.")
    context.close()


def test_supervisor_sees_the_reading_in_the_admin(
    page: Page, site, site_doctor, site_supervisor, films
):
    sign_in(page, site, site_doctor.email)
    upload(page, site, films / "film.jpg", patient_name="陳小明", patient_age_years="3")
    page.wait_for_url("**/readings/*-*-*-*-*/")
    page.context.clear_cookies()
    sign_in(page, site, site_supervisor.email, secret=add_authenticator_app(site_supervisor))
    page.goto(f"{site}/admin/diagnosis/reading/")
    expect(page.locator("#result_list")).to_contain_text("陳小明")
    thumbnail = page.locator("#result_list img.film-thumbnail")
    expect(thumbnail).to_be_visible()
    assert thumbnail.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 0
    page.locator("#result_list a", has_text="陳小明").click()
    expect(page.locator("h1", has_text="陳小明")).to_be_visible()
    assert "陳小明" not in page.title()
    expect(page.locator(".record-raw dl, .record-raw .form-row").first).to_be_hidden()


def test_record_loads_the_heatmap_on_demand_and_visits_open(
    page: Page, site, site_doctor, site_supervisor, films
):
    sign_in(page, site, site_doctor.email)
    upload(page, site, films / "film.jpg", patient_name="陳小明", patient_age_years="3")
    page.wait_for_url("**/readings/*-*-*-*-*/")
    # The shipped model rightly finds synthetic films out of scope, which have no heatmap.
    Reading.objects.update(label="NORMAL", scope_reasons=[])
    page.context.clear_cookies()
    sign_in(page, site, site_supervisor.email, secret=add_authenticator_app(site_supervisor))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site}/admin/diagnosis/reading/{Reading.objects.get().pk}/change/")
    settle(page)
    assert any(address.endswith("/film/") for address in asked)
    assert not any(address.endswith("/heatmap/") for address in asked)
    film = page.locator(".record-picture > img").first
    heatmap = page.locator(".record-picture > img + img")
    page.get_by_role("link", name="Show heatmap").press("Enter")
    expect(heatmap).to_be_visible()
    over, under = heatmap.bounding_box(), film.bounding_box()
    assert over == pytest.approx(under, abs=1), "the heatmap lies over the X-ray"
    page.goto(f"{site}/admin/who-saw/?q=陳")
    events = page.locator(".who-saw-events").first
    expect(events).to_be_hidden()
    page.locator(".who-saw-results summary").first.press("Enter")
    expect(events).to_be_visible()
