"""A doctor's history: search, correction and deletion of their own readings."""

import datetime
import re

import pytest

from diagnosis.models import Label, Reading
from tests.conftest import patient_details
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(active_model, doctor, other_doctor):
    ReadingFactory(doctor=doctor, patient_name="陳小明", patient_number="A1")
    ReadingFactory(
        doctor=doctor,
        patient_name="Lin Mei",
        patient_number="B2",
        label=Label.PNEUMONIA,
        exam_date=datetime.date(2026, 3, 1),
    )
    ReadingFactory(
        doctor=doctor,
        patient_name="Wang Mei",
        patient_number="C3",
        label=Label.OUT_OF_SCOPE,
        exam_date=datetime.date(2026, 5, 1),
    )
    ReadingFactory(doctor=other_doctor, patient_name="Not Mine Mei", patient_number="A1")


def names(browser, query: str = "", **headers: str) -> list[str]:
    response = browser.get(f"/readings/{query}", headers=headers, follow=True)
    assert response.status_code == 200
    return [reading.patient_name for reading in response.context["readings"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        # Pneumonia first; the others by the time they have waited.
        ("", ["Lin Mei", "陳小明", "Wang Mei"]),
        ("?q=mei", ["Lin Mei", "Wang Mei"]),
        ("?q=mei+wang", ["Wang Mei"]),
        ("?q=小明", ["陳小明"]),
        ("?q=b2", ["Lin Mei"]),
        ("?q=nobody", []),
        ("?q=%25", []),
        ("?result=PNEUMONIA", ["Lin Mei"]),
        ("?date_from=2026-02-01", ["Lin Mei", "Wang Mei"]),
        ("?date_from=2026-02-01&date_to=2026-04-01", ["Lin Mei"]),
        ("?q=mei&result=OUT_OF_SCOPE", ["Wang Mei"]),
    ],
)
def test_search(history, as_doctor, query, found):
    assert names(as_doctor, query) == found


def test_an_invalid_date_shows_an_error(history, as_doctor):
    response = as_doctor.get("/readings/?date_from=yesterday")
    assert response.status_code == 200
    assert "date_from" in response.context["filter"].form.errors


def test_other_doctors_patients_are_not_found(history, as_other_doctor):
    assert names(as_other_doctor, "?q=mei") == ["Not Mine Mei"]


def test_page_size_and_queries_do_not_grow(
    active_model, doctor, as_doctor, django_assert_max_num_queries
):
    ReadingFactory.create_batch(3, doctor=doctor)
    as_doctor.get("/readings/")
    with django_assert_max_num_queries(30) as few:
        as_doctor.get("/readings/")
    ReadingFactory.create_batch(60, doctor=doctor)
    with django_assert_max_num_queries(len(few.captured_queries)):
        assert len(names(as_doctor)) == 50


def test_htmx_request_gets_only_the_table(history, as_doctor):
    response = as_doctor.get("/readings/?q=mei", headers={"HX-Request": "true"}, follow=True)
    text = response.content.decode()
    assert "Wang Mei" in text
    assert "<html" not in text


def test_empty_lists_say_what_to_do(as_doctor, active_model, doctor):
    assert "/readings/new/" in as_doctor.get("/readings/").content.decode()
    ReadingFactory(doctor=doctor)
    page = as_doctor.get("/readings/?q=nobody", follow=True).content.decode()
    main = page.split("<main")[1]
    assert re.search(r'href="/readings/"', main)


def test_editing_changes_the_patients_details(reading, as_doctor):
    changed = patient_details(patient_name="林美", patient_age_years=4, exam_date="2026-01-03")
    response = as_doctor.post(f"/readings/{reading.pk}/edit/", changed, follow=True)
    assert [str(message) for message in response.context["messages"]] == [
        "The patient's details have been updated."
    ]
    reading.refresh_from_db()
    assert (reading.patient_name, reading.patient_age_years) == ("林美", 4)
    assert reading.exam_date == datetime.date(2026, 1, 3)


def test_editing_cannot_change_doctor_film_or_result(reading, as_doctor, other_doctor):
    before = Reading.objects.values().get()
    forged = patient_details(
        doctor=other_doctor.pk,
        label="PNEUMONIA",
        threshold="0",
        film_sha256="0" * 64,
        probabilities="{}",
        model_version="9",
        created_at="2000-01-01",
    )
    as_doctor.post(f"/readings/{reading.pk}/edit/", forged)
    after = Reading.objects.values().get()
    assert after.pop("updated_at") >= before.pop("updated_at")
    assert after == before


def test_an_invalid_edit_keeps_the_typed_values(reading, as_doctor):
    response = as_doctor.post(
        f"/readings/{reading.pk}/edit/", patient_details(patient_name="New", patient_age_years=999)
    )
    assert response.status_code == 200
    assert 'value="New"' in response.content.decode()
    reading.refresh_from_db()
    assert reading.patient_name == "陳小明"


def test_an_age_out_of_scope_changes_the_result_with_a_message(reading, as_doctor):
    Reading.objects.update(label=Label.NORMAL, scope_reasons=[], scope_score=-1e9)
    response = as_doctor.post(
        f"/readings/{reading.pk}/edit/", patient_details(patient_age_years=50), follow=True
    )
    said = [str(message) for message in response.context["messages"]]
    assert said[1].startswith("With the corrected age, the result is now ")
    reading.refresh_from_db()
    assert reading.label == Label.OUT_OF_SCOPE


def test_deleting_asks_for_confirmation_and_can_be_undone(reading, as_doctor):
    page = as_doctor.get(f"/readings/{reading.pk}/delete/").content.decode()
    assert "陳小明" in page
    assert "only a supervisor can restore it" in page
    assert names(as_doctor) == ["陳小明"]
    response = as_doctor.post(f"/readings/{reading.pk}/delete/", follow=True)
    assert [str(message) for message in response.context["messages"]] == ["Reading deleted."]
    assert names(as_doctor) == []
    assert as_doctor.get(f"/readings/{reading.pk}/").status_code == 404
    undo = f"/readings/{reading.pk}/undelete/"
    assert f'action="{undo}"' in response.content.decode()
    response = as_doctor.post(undo, follow=True)
    assert [str(message) for message in response.context["messages"]] == ["Reading restored."]
    assert names(as_doctor) == ["陳小明"]


@pytest.mark.parametrize("page", ["", "edit/", "delete/", "film/", "heatmap/", "report/"])
def test_a_deleted_reading_and_another_doctors_reading_look_the_same(
    page, reading, as_doctor, as_other_doctor
):
    address = f"/readings/{reading.pk}/{page}"
    anothers = as_other_doctor.get(address)
    as_doctor.post(f"/readings/{reading.pk}/delete/")
    gone = as_doctor.get(address)
    assert anothers.status_code == gone.status_code == 404
    panels = [
        re.search(r"<h1.*?</main>", response.content.decode(), re.DOTALL)
        for response in (gone, anothers)
    ]
    assert panels[0] is not None
    assert panels[1] is not None
    assert panels[0][0] == panels[1][0]
    assert "may have been deleted" in panels[0][0]


def test_a_patients_name_is_escaped(reading, as_doctor):
    attack = '<script>alert(1)</script>"onload="x'
    as_doctor.post(f"/readings/{reading.pk}/edit/", patient_details(patient_name=attack))
    for address in (
        f"/readings/{reading.pk}/",
        "/readings/",
        f"/readings/{reading.pk}/report/",
        f"/readings/{reading.pk}/delete/",
        f"/readings/{reading.pk}/edit/",
        "/",
    ):
        page = as_doctor.get(address).content.decode()
        assert "<script>alert" not in page
        assert '"onload="x' not in page


def test_search_by_the_name_of_the_file(as_doctor, doctor, other_doctor, active_model):
    ReadingFactory(doctor=doctor, patient_name="陳小明", original_name="IMG_0222.jpeg")
    ReadingFactory(doctor=doctor, patient_name="林小美", original_name="IM-0300.dcm")
    ReadingFactory(doctor=other_doctor, patient_name="王大同", original_name="IMG_0222.jpeg")
    assert names(as_doctor, "?q=img_0222") == ["陳小明"]
    assert names(as_doctor, "?q=IM-0300.dcm") == ["林小美"]
    assert names(as_doctor, "?q=0299") == []
