"""Printing a reading and its report: one page each, and the PDF of the same."""

import io

import pytest
from playwright.sync_api import Page
from pypdf import PdfReader

from diagnosis.models import Reading
from tests.e2e.conftest import settle, sign_in
from tests.e2e.test_pages import readings  # noqa: F401


@pytest.fixture
def unsure(readings) -> Reading:  # noqa: F811
    reading = readings["UNSURE"]
    Reading.objects.filter(pk=reading.pk).update(normal_below=0.3, pneumonia_from=0.8)
    return reading


def printed(page: Page) -> str:
    """Return the text of the printed page; fail if it is not exactly one."""
    (sheet,) = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages
    assert [image.image.width for image in sheet.images if image.image.width > 300]
    return " ".join(sheet.extract_text().split())


def test_reading_and_report_print_as_the_same_page(page: Page, site, site_doctor, unsure):
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}/readings/{unsure.pk}/")
    page.wait_for_load_state("networkidle")
    from_reading = printed(page)
    assert "Chest X-ray report" in from_reading
    assert "Inconclusive is not a negative result" in from_reading
    assert "Technical details" not in from_reading
    page.keyboard.press("h")  # what is shown is printed
    settle(page)
    assert "All X-rays use the same colour scale." in printed(page)
    page.goto(f"{site}/readings/{unsure.pk}/report/")
    settle(page)
    assert printed(page) == from_reading
    page.get_by_role("checkbox", name="Include the heatmap").check()
    settle(page)
    assert "All X-rays use the same colour scale." in printed(page)
    page.get_by_label("Language of the PDF").select_option("both")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download PDF").click()
    (sheet,) = PdfReader(download.value.path()).pages
    text = " ".join(sheet.extract_text().split())
    assert "All X-rays use the same colour scale." in text
    assert "無法判定" in text
