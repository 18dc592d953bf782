"""The doctor's opinion in a browser: first blind, then with the result, then signed."""

from playwright.sync_api import Page, expect

from accounts.models import User
from diagnosis.models import Label, Opinion, Reading
from tests.e2e.conftest import sign_in
from tests.e2e.test_pages import readings  # noqa: F401


def test_own_opinion_then_the_result_then_a_signature(
    page: Page,
    site: str,
    site_doctor: User,
    readings: dict[str, Reading],  # noqa: F811
):
    reading = readings[Label.NORMAL]
    Reading.objects.filter(pk=reading.pk).update(blind_first=True, withheld=True)
    sign_in(page, site, site_doctor.email)
    page.goto(f"{site}{reading.get_absolute_url()}")
    result = page.locator(".result-panel")
    expect(result).to_contain_text("After your opinion")
    expect(page.locator("[data-heat-on], .scale")).to_have_count(0)

    page.keyboard.press("2")
    expect(page.get_by_label("Pneumonia", exact=False).first).to_be_checked()
    page.get_by_text("Moderate").click()
    page.get_by_text("Findings").click()
    page.get_by_role("checkbox", name="Consolidation").check()
    page.get_by_label("Right lower").check()
    expect(page.locator("[data-draft-state]")).to_have_text("Draft saved")
    page.reload()
    expect(page.get_by_label("Right lower")).to_be_checked()
    assert Reading.objects.get(pk=reading.pk).withheld
    page.get_by_label("Note").fill("Behind the heart")
    page.keyboard.press("Control+Enter")

    expect(result).to_contain_text("0.030")
    own = page.locator("#own-reading")
    expect(own).to_contain_text("You have seen the model's result")
    page.get_by_role("button", name="Sign final opinion").click()
    expect(own).to_contain_text("Signed opinion")
    expect(own).to_contain_text("differs from the model")

    own.get_by_text("Add an addendum").click()
    page.get_by_role("button", name="Sign addendum").click()
    expect(own.get_by_label("Note")).to_be_focused()  # an addendum states why
    own.get_by_label("Note").fill("Seen again with the radiologist")
    page.get_by_role("button", name="Sign addendum").click()
    expect(own).to_contain_text("Seen again with the radiologist")
    stages = Opinion.objects.filter(reading=reading).order_by("pk")
    assert list(stages.values_list("stage", flat=True)) == ["FIRST", "SIGNED", "ADDENDUM"]
    first = stages[0]
    assert (first.verdict, first.note) == ("PNEUMONIA", "Behind the heart")
    assert first.findings[0]["lobes"] == ["RLL"]
