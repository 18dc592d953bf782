"""The admin looks and behaves like the site, and model cards are short until they are unfolded."""

from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from accounts.models import AuditEntry, User
from forum.models import Report
from mlcore.models import ModelVersion
from tests import board
from tests.e2e import budget
from tests.e2e.conftest import add_authenticator_app, new_context, sign_in
from tests.e2e.test_pages import overflow, violations
from tests.factories import ReadingFactory, UserFactory

MAX_CARD_HEIGHT = 3000


@pytest.fixture
def admin_pages(site: str, site_doctor: User, site_supervisor: User) -> list[str]:
    """The admin's addresses, with something to show on each."""
    reading = ReadingFactory(doctor=site_doctor, patient_name="Featherstonehaugh-Montgomery")
    gone = ReadingFactory(doctor=site_doctor, hidden_at="2026-01-01T00:00Z")
    applicant = UserFactory(approval="PENDING", hospital="國立臺灣大學醫學院附設醫院")
    post = board.open_topic(site_doctor).posts.get()
    report = Report.objects.create(post=post, reporter=site_doctor, reason="Names a patient")
    version = ModelVersion.objects.get()
    entry = AuditEntry.objects.first()
    pages = [
        ("admin:index",),
        ("admin:accounts_user_changelist",),
        ("admin:accounts_user_change", applicant.pk),
        ("admin:accounts_user_reject", applicant.pk),
        ("admin:accounts_auditentry_changelist",),
        ("admin:accounts_auditentry_change", entry.pk),
        ("admin:diagnosis_reading_changelist",),
        ("admin:diagnosis_reading_change", reading.pk),
        ("admin:diagnosis_reading_purge", gone.pk),
        ("admin:diagnosis_reading_shared_films",),
        ("admin:diagnosis_reading_statistics",),
        ("admin:diagnosis_patient_changelist",),
        ("admin:diagnosis_patient_duplicates",),
        ("admin:diagnosis_team_add",),
        ("admin:forum_category_changelist",),
        ("admin:forum_category_add",),
        ("admin:forum_report_change", report.pk),
        ("admin:mlcore_modelversion_changelist",),
        ("admin:mlcore_modelversion_change", version.pk),
        ("admin:mlcore_modelversion_compare",),
        ("admin:password_change",),
        ("who_saw",),
    ]
    return [reverse(name, args=keys) for name, *keys in pages]


def test_the_admin_is_part_of_the_site(browser, site, site_supervisor, admin_pages):
    secret = add_authenticator_app(site_supervisor)
    context = new_context(browser)
    page = context.new_page()
    hosts: set[str] = set()
    page.on("request", lambda sent: hosts.add(urlsplit(sent.url).netloc))
    sign_in(page, site, site_supervisor.email, secret=secret)
    page.locator("[data-theme-toggle]").click()
    root = page.locator("html")
    found = {}
    for address in admin_pages:
        page.goto(f"{site}{address}")
        expect(root).to_have_attribute("data-bs-theme", "dark")
        expect(page.locator(".site-header .brand")).to_be_visible()
        wrong = violations(page) + budget.exceeded(page, site)
        for width in (360, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            if overflow(page) > 0:
                wrong.append(f"at {width} pixels, is {overflow(page)} pixels wider than the window")
        if wrong:
            found[address] = wrong
    assert found == {}

    address = f"{site}{reverse('admin:accounts_user_changelist')}?state=waiting"
    page.goto(address)
    page.locator("[data-theme-toggle]").click()
    assert violations(page) == []
    page.locator(".language-choice", has_text="繁體中文").click()
    expect(root).to_have_attribute("lang", "zh-hant")
    expect(root).to_have_attribute("data-bs-theme", "light")
    assert page.url == address
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator(".admin-menu summary").click()
    page.locator(".admin-menu a", has_text="稽核").click()
    page.wait_for_url("**/accounts/auditentry/")
    assert overflow(page) <= 0
    page.goto(f"{site}/models/")
    expect(root).to_have_attribute("data-bs-theme", "light")
    expect(root).to_have_attribute("lang", "zh-hant")
    context.close()
    assert hosts == {urlsplit(site).netloc}


def test_a_model_card_is_short_and_unfolds(page: Page, site, site_doctor):
    sign_in(page, site, site_doctor.email)
    card = f"{site}{ModelVersion.objects.get().get_absolute_url()}"
    page.goto(card)
    height = "document.documentElement.scrollHeight"
    assert page.evaluate(height) < MAX_CARD_HEIGHT
    folded = page.locator("details[data-fold]")
    opened = page.locator("details[data-fold][open]")
    expect(opened).to_have_count(0)

    page.locator(".card-toc a[href='#calibration']").click()
    expect(opened).to_have_count(1)
    expect(page.locator("#chart-reliability svg")).to_be_in_viewport()
    page.locator("#threshold summary").first.click()
    page.goto(f"{site}/models/")
    page.goto(card)
    expect(opened).to_have_count(2)
    page.goto(f"{card}#failures")
    expect(page.locator("#failures details")).to_have_attribute("open", "")

    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(opened).to_have_count(folded.count())
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
        assert violations(page) == []
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(opened).to_have_count(3)
