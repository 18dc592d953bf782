"""Films that arrive for an order, by the upload form as by any other way."""

import datetime

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import retention
from diagnosis.models import Reading
from exchange.orders.models import Order, OrderFilm, OrderState
from tests.conftest import post_film, signed_in
from tests.exchange.orders.ordering import make_order
from tests.films import encode_dicom, synthetic_film

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("active_model")]


def film(order: Order, *, by: str = "accession", seed: int = 3, **elements) -> bytes:
    """Return the file that a machine makes of an order."""
    named = {
        "patient_name": "Chen^Wei-Lun=陳^威倫", "patient_id": order.patient_number,
        "birth_date": "20230501", "age": None, "PatientSex": "M",
    }  # fmt: skip
    if by == "accession":
        named["AccessionNumber"] = order.accession_number
    else:
        named["StudyInstanceUID"] = order.study_uid
    pixels = np.asarray(synthetic_film("NORMAL", seed=seed, size=200))
    return encode_dicom(pixels, **(named | elements))


def read(browser, data: bytes) -> Reading:
    """Upload a film as a doctor who takes every value from the file."""
    before = set(Reading.objects.values_list("pk", flat=True))
    fields = {"patient_name": "", "patient_number": "", "patient_age_years": "", "exam_date": ""}
    response = post_film(browser, data, "film.dcm", **fields)
    assert response.status_code == 302, response.content.decode()
    assert "/check/" not in response.headers["Location"]
    return Reading.objects.exclude(pk__in=before).get()


@pytest.mark.parametrize("by", ["accession", "study"])
def test_a_film_performs_its_order(by, as_doctor, doctor):
    order = make_order(doctor)
    reading = read(as_doctor, film(order, by=by))
    order.refresh_from_db()
    assert order.state == OrderState.PERFORMED
    found = OrderFilm.objects.get(reading=reading)
    assert (found.order, found.differences) == (order, [])
    assert AuditEntry.objects.filter(what="order-performed", object_pk=str(order.pk)).exists()
    page = as_doctor.get(order.get_absolute_url()).content.decode()
    assert reading.get_absolute_url() in page
    assert "another patient" not in page
    assert order.get_absolute_url() in as_doctor.get(reading.get_absolute_url()).content.decode()


def test_the_study_given_by_the_worklist_counts_before_the_number(as_doctor, doctor):
    order, other = make_order(doctor), make_order(doctor, patient_number="B1")
    read(as_doctor, film(order, by="study", AccessionNumber=other.accession_number))
    found = OrderFilm.objects.get()
    assert found.order == order
    assert found.differences == ["accession_number"]


def test_another_patient_is_shown_on_both_pages_and_changes_no_reading(as_doctor, doctor):
    order = make_order(doctor)
    data = film(order, patient_name="Lin^Mei=林^美", patient_id="Z9", PatientSex="F")
    reading = read(as_doctor, data)
    assert (reading.patient_name, reading.patient_number) == ("林美", "Z9")
    assert OrderFilm.objects.get().differences == ["patient_name", "patient_number", "patient_sex"]
    for url in (order.get_absolute_url(), reading.get_absolute_url()):
        page = as_doctor.get(url).content.decode()
        assert "Order: “A123”. X-ray: “Z9”." in page
        assert "Order: “陳威倫 / Chen Wei-Lun" in page
    listed = as_doctor.get("/orders/?differs=on").content.decode()
    assert "X-ray of another patient" in listed
    order.refresh_from_db()
    assert order.state == OrderState.SCHEDULED  # the machine still has to take the right X-ray
    assert order.accession_number in listed


def test_scripts_that_cannot_be_compared_do_not_differ(as_doctor, doctor):
    order = make_order(doctor, name_latin="", name_phonetic="")
    read(as_doctor, film(order, patient_name="Chen^Wei-Lun"))
    assert OrderFilm.objects.get().differences == []


def test_somebody_without_access_to_the_order_learns_only_that_it_differs(
    doctor, as_other_doctor, other_doctor
):
    order = make_order(doctor)
    reading = read(as_other_doctor, film(order, patient_id="Z9"))
    page = as_other_doctor.get(reading.get_absolute_url()).content.decode()
    assert "The order names another patient" in page
    assert "A123" not in page
    assert order.get_absolute_url() not in page
    own = signed_in(doctor).get(order.get_absolute_url()).content.decode()
    assert "on the worklist of somebody else" in own
    assert "“Z9”" not in own


def test_a_film_that_does_not_belong_to_the_order_is_removed_from_it(as_doctor, doctor):
    order = make_order(doctor)
    read(as_doctor, film(order, patient_id="Z9"))
    found = OrderFilm.objects.get()
    page = as_doctor.post(f"{order.get_absolute_url()}films/{found.pk}/unlink/", follow=True)
    assert "The reading stays as it is" in page.content.decode()
    order.refresh_from_db()
    assert order.state == OrderState.SCHEDULED
    assert Reading.objects.count() == 1
    assert AuditEntry.objects.filter(what="order-unlinked").exists()


def test_several_films_of_an_order_and_films_of_none(as_doctor, doctor):
    order = make_order(doctor)
    read(as_doctor, film(order, seed=3))
    read(as_doctor, film(order, seed=4))
    assert order.films.count() == 2
    read(as_doctor, film(order, seed=5, AccessionNumber="unknown"))
    assert OrderFilm.objects.count() == 2


def test_an_order_is_no_reason_not_to_store_a_reading(as_doctor, doctor, monkeypatch, caplog):
    order = make_order(doctor)

    def fail(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("exchange.orders.matching._order_of", fail)
    read(as_doctor, film(order))
    assert "could not be matched" in caplog.text


def test_purging_the_reading_leaves_nothing_of_the_order(as_doctor, doctor, supervisor):
    order = make_order(doctor)
    reading = read(as_doctor, film(order))
    retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    retention.purge_reading(supervisor=supervisor, reading_id=reading.pk, reason="r")
    assert not Order.objects.exists()
    assert AuditEntry.objects.filter(what="order-deleted").exists()


def test_orders_of_long_ago_are_forgotten_unless_a_film_arrived(as_doctor, doctor):
    order, other, new = (make_order(doctor, patient_number=f"N{n}") for n in range(3))
    read(as_doctor, film(order))
    long_ago = timezone.now() - datetime.timedelta(days=100)
    Order.objects.exclude(pk=new.pk).update(scheduled_at=long_ago)
    call_command("forget_orders")
    assert set(Order.objects.all()) == {order, new}
    assert AuditEntry.objects.filter(what="order-deleted", object_pk=str(other.pk)).exists()
