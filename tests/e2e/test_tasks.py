"""A supervisor finds a failed task on the admin's start page and starts it again."""

import os
from pathlib import Path

import pytest
from django_tasks_db.models import DBTaskResult
from playwright.sync_api import Page

from tests.background import jobs
from tests.background.conftest import database_queue, run_all  # noqa: F401 - a fixture
from tests.e2e.conftest import add_authenticator_app, new_context, sign_in
from tests.e2e.test_pages import overflow
from xraysite.common.background.tasks import enqueue


def show(page: Page, name: str) -> None:
    """Check that the page fits; keep a picture of it in the folder SHOTS, if that is set."""
    assert overflow(page) <= 0, page.url
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=Path(folder) / f"tasks-{name}.png", full_page=True)


@pytest.mark.parametrize("language", ["en", "zh-hant"])
@pytest.mark.parametrize("width", [1440, 360])
def test_retry_from_the_office(
    browser,
    site,
    site_supervisor,
    database_queue,  # noqa: F811
    language,
    width,
):
    enqueue(jobs.fails)
    run_all()
    enqueue(jobs.note, number=1)
    secret = add_authenticator_app(site_supervisor)
    context = new_context(browser, language=language, width=width)
    try:
        page = context.new_page()
        sign_in(page, site, site_supervisor.email, secret=secret)
        page.goto(f"{site}/admin/")
        show(page, f"office-{language}-{width}")
        page.locator("section[aria-labelledby=office-queue] td a").click()
        page.wait_for_url("**/retry/")
        show(page, f"retry-{language}-{width}")
        page.locator("#content-main input[type=submit]").click()
        page.wait_for_url("**/dbtaskresult/")
        show(page, f"list-{language}-{width}")
    finally:
        context.close()
    assert set(DBTaskResult.objects.values_list("status", flat=True)) == {"READY"}
