"""Supervisors see every reading in the admin and cannot change any."""

import pytest

from accounts.models import AuditEntry
from diagnosis.models import Label, Reading
from tests.factories import ReadingFactory

LIST = "/admin/diagnosis/reading/"


def test_the_list_has_every_doctors_readings_with_thumbnails(reading, as_supervisor, other_doctor):
    theirs = ReadingFactory(doctor=other_doctor, patient_name="Lin Mei")
    page = as_supervisor.get(LIST).content.decode()
    for shown in (reading, theirs):
        assert shown.patient_name in page
        assert f"/readings/{shown.pk}/film/?size=thumb" in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=lin+M", 1),
        ("?q=Lin  MEI", 1),
        ("?q=Mei", 0),
        ("?q=p0", 1),
        ("?q=%25", 0),
        ("?hidden=yes", 0),
        ("?hidden=no", 2),
        ("?agreement__exact=DISAGREE", 0),
        ("?age_scope__exact=OUTSIDE", 0),
        ("?age_scope__exact=INSIDE", 2),
        ("?exam_date__gte=2025-01-01&exam_date__lt=2027-01-01", 2),
        ("?exam_date__gte=2027-01-01", 0),
        ("?label__exact=PNEUMONIA", 1),
        ("?created_at__year=1999", 0),
    ],
)
def test_filters_and_search(query, expected, reading, as_supervisor):
    Reading.objects.update(label=Label.NORMAL, age_scope="INSIDE")
    ReadingFactory(patient_name="Lin Mei", label=Label.PNEUMONIA, patient_number="P007")
    assert as_supervisor.get(LIST + query, follow=True).context["cl"].result_count == expected


def test_the_result_cannot_be_changed(reading, as_supervisor):
    before = Reading.objects.values().get()
    address = f"{LIST}{reading.pk}/change/"
    page = as_supervisor.get(address).content.decode()
    assert 'name="label"' not in page
    assert as_supervisor.post(address, {"label": "NORMAL"}).status_code == 403
    assert as_supervisor.post(f"{LIST}{reading.pk}/delete/", {"post": "yes"}).status_code == 403
    assert as_supervisor.get(f"{LIST}add/").status_code == 403
    assert Reading.objects.values().get() == before


def test_a_supervisors_view_is_audited(reading, as_supervisor, supervisor):
    as_supervisor.get(f"{LIST}{reading.pk}/change/")
    row = AuditEntry.objects.filter(action=AuditEntry.Action.ACCESS, actor=supervisor).latest("pk")
    assert row.object_pk == str(reading.pk)
    assert row.what == "admin page"


def test_a_supervisor_cannot_edit_accounts_directly(as_supervisor, doctor):
    address = f"/admin/accounts/user/{doctor.pk}/change/"
    assert as_supervisor.get(address).status_code == 200
    assert as_supervisor.post(address, {"is_superuser": "on"}).status_code == 403
