"""The admin dashboard: pending work and figures of the last days."""

import datetime
import re
import shutil
from collections import namedtuple

import pytest
from django.utils import timezone

from accounts.models import User
from diagnosis import retention, statistics
from diagnosis.models import Label, Reading
from diagnosis.services.opinions import review_reading
from tests.conftest import signed_in
from tests.factories import DoctorFactory, ReadingFactory

pytestmark = pytest.mark.django_db


def create_reading(days_ago: float, **fields: object) -> Reading:
    """Create a reading some days before noon today."""
    reading: Reading = ReadingFactory(**fields)
    noon = timezone.localtime().replace(hour=12, minute=0, second=0, microsecond=0)
    when = noon - datetime.timedelta(days=days_ago)
    Reading.objects.filter(pk=reading.pk).update(created_at=when)
    return reading


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def office(browser) -> str:
    response = browser.get("/admin/")
    assert response.status_code == 200
    page: str = response.content.decode()
    return page


@pytest.fixture
def busy(active_model, doctor, other_doctor) -> None:
    """Eight readings in the last 30 days, one before, one deleted."""
    for label, verdict in (
        (Label.NORMAL, "NORMAL"),
        (Label.NORMAL, "PNEUMONIA"),
        (Label.PNEUMONIA, "NORMAL"),
        (Label.PNEUMONIA, "PNEUMONIA"),
        (Label.PNEUMONIA, "OTHER"),
        (Label.UNSURE, "NORMAL"),
    ):
        reading = create_reading(0, doctor=doctor, label=label)
        review_reading(doctor=doctor, reading_id=reading.pk, verdict=verdict)
    create_reading(3, doctor=doctor, label=Label.NORMAL)
    create_reading(29, doctor=other_doctor, label=Label.OUT_OF_SCOPE)
    create_reading(30, doctor=other_doctor, label=Label.UNSURE, film_bytes=10**9)
    gone = create_reading(1, doctor=other_doctor, label=Label.UNSURE)
    retention.hide_reading(doctor=other_doctor, reading_id=gone.pk, reason="MISTAKE")


def test_figures_state_their_period_and_number(busy, as_supervisor):
    words = words_of(office(as_supervisor))
    first = timezone.localdate() - datetime.timedelta(days=29)
    assert f"8 readings from {first:%-d %B %Y} to {timezone.localdate():%-d %B %Y}" in words
    assert "peak: 6 in one day" in words
    assert "12.5% 1 of 8 readings" in words, "unsure and out of scope"
    assert "50.0% 2 of 4 readings where both decided on normal or pneumonia" in words
    assert "Model normal, doctor pneumonia: 1. Model pneumonia, doctor normal: 1." in words


def test_chart_has_a_bar_and_a_row_per_day(busy, as_supervisor):
    page = office(as_supervisor)
    chart = page[page.index("office-chart") :].split("</svg>")[0]
    assert chart.count("<rect") == 30
    heights = [float(height) for height in re.findall(r'<rect[^>]*height="([\d.]+)"', chart)]
    assert heights[-1] == 100
    assert heights[-4] == heights[0] == pytest.approx(100 / 6, abs=0.01)
    assert sum(height > 0 for height in heights) == 3
    rows = re.findall(r'<th scope="row">(\d{4}-\d\d-\d\d)</th>', page)
    assert len(rows) == 30
    assert not re.search(r"<[^>]*\sstyle=", page)


def test_days_are_in_the_sites_time_zone(active_model, doctor):
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    for minutes in (-1, 1):
        reading = ReadingFactory(doctor=doctor)
        when = midnight + datetime.timedelta(minutes=minutes)
        Reading.objects.filter(pk=reading.pk).update(created_at=when)
    yesterday, today = statistics.last_days().days[-2:]
    assert (yesterday.counts.n, today.counts.n) == (1, 1)


def test_each_doctor_has_a_row_linked_to_the_readings(busy, as_supervisor, doctor, other_doctor):
    page = office(as_supervisor)
    table = page[page.index('id="office-doctors"') :]
    line = re.search(rf'\?doctor={doctor.pk}".*?</tr>', table, re.DOTALL)
    assert line is not None
    assert re.findall(r"<td>\s*(.*?)\s*</td>", line[0], re.DOTALL) == [
        "7", "3", "3", "1", "0", "2 of 4",
    ]  # fmt: skip
    shown = as_supervisor.get(f"/admin/diagnosis/reading/?doctor={other_doctor.pk}")
    assert shown.context["cl"].result_count == 3


def test_doctors_with_most_readings_are_shown(active_model, as_supervisor):
    for doctor in DoctorFactory.create_batch(statistics.MAX_DOCTORS + 2):
        create_reading(1, doctor=doctor)
    words = words_of(office(as_supervisor))
    assert "And 2 doctors with fewer readings." in words


def test_pending_work_is_counted_and_linked(busy, as_supervisor):
    page = office(as_supervisor)
    assert "0 accounts awaiting approval" in words_of(page)
    applicant = User.objects.create_user("new@example.org", display_name="New")
    applicant.vouch_for_email()
    page = office(as_supervisor)
    words = words_of(page)
    assert "1 account awaiting approval" in words
    assert "1 reading deleted by its doctor 1 can be purged now" in words
    for address in ("/admin/accounts/user/?state=waiting", "/admin/diagnosis/reading/?hidden=yes"):
        assert f'href="{address}"' in page
        assert as_supervisor.get(address).context["cl"].result_count == 1


def test_active_model_and_who_activated_it(active_model, as_supervisor, supervisor, ml_engineer):
    assert "activated from the command line" in words_of(office(as_supervisor))
    browser = signed_in(ml_engineer)
    type(active_model).objects.update(is_active=False)
    browser.post(f"/admin/mlcore/modelversion/{active_model.pk}/activate/")
    words = words_of(office(as_supervisor))
    assert f"activated by {ml_engineer.display_name}" in words


def test_nearly_full_disk_is_highlighted(active_model, as_supervisor, monkeypatch):
    usage = namedtuple("usage", "total used free")
    for used, due in ((50, 0), (95, 1)):
        gb = 2**30
        disk = usage(100 * gb, used * gb, (100 - used) * gb)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, disk=disk: disk)
        page = office(as_supervisor)
        assert page.count("office-due") == due
        assert f"{used}.0 GB used on this disk ({used}%)" in words_of(page).replace("\xa0", " ")


def test_no_percentages_without_readings(active_model, as_supervisor):
    words = words_of(office(as_supervisor))
    assert "0 readings from" in words
    assert "no readings in this period" in words
    assert "no doctor recorded a reading" in words
    assert "0.0%" not in words


def test_dashboard_opens_without_a_model(as_supervisor):
    assert "X-rays cannot be read." in words_of(office(as_supervisor))


def test_ml_staff_see_figures_without_names(busy, as_ml_engineer, doctor, other_doctor):
    page = office(as_ml_engineer)
    words = words_of(page)
    assert "1 of 8 readings" in words
    assert "2 of 4 readings where both decided on" in words
    for reading in Reading.objects.all():
        assert str(reading.pk) not in page
        assert reading.patient_name not in words
    for name in (doctor.display_name, other_doctor.display_name):
        assert name not in words
    for hidden in ("/admin/diagnosis", "who-saw"):
        assert hidden not in page
    content = page.split("<main")[1].split("</main>")[0]
    for hidden in ("/readings/", "wait", "deleted by", "GB"):
        assert hidden not in content.replace("Deleted readings are not counted", "")


def test_staff_without_a_role_see_no_figures(busy, client):
    nobody = User.objects.create_user(
        "staff@example.org", is_staff=True, approval=User.Approval.APPROVED
    )
    nobody.vouch_for_email()
    assert "office-chart" not in office(signed_in(nobody))


def test_dashboard_is_translated(busy, supervisor):
    client = signed_in(supervisor)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hant"
    words = words_of(office(client))
    for shown in ("每日判讀數", "醫師與模型", "待核准"):
        assert shown in words
