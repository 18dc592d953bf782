"""The supervisors' list: filters, date links and CSV export."""

import csv
import datetime
import html
import io
import re

import pytest
from django.db.models.sql import compiler
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import export, retention
from diagnosis.models import Label, Reading
from diagnosis.services.opinions import review_reading
from tests.factories import DoctorFactory, ReadingFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/diagnosis/reading/"


def names(browser, **query: object) -> set[str]:
    response = browser.get(LIST, query)
    assert response.status_code == 200
    return {reading.patient_name for reading in response.context["cl"].result_list}


def table(browser, **query: object) -> list[dict[str, str]]:
    response = browser.get(f"{LIST}export/", query)
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode()
    assert text.startswith("\ufeff"), "Excel needs the mark to read UTF-8"
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def set_created_at(reading: Reading, moment: datetime.datetime) -> None:
    Reading.objects.filter(pk=reading.pk).update(created_at=timezone.make_aware(moment))


@pytest.fixture
def readings_of_doctors(active_model) -> None:
    for name, count in (("Chen Yi", 2), ("Chen Er", 1), ("Lin San", 1)):
        doctor = DoctorFactory(display_name=name)
        for n in range(count):
            ReadingFactory(doctor=doctor, patient_name=f"Patient {n} of {name}")


@pytest.mark.parametrize(
    ("typed", "found"),
    [("Lin", 1), ("san", 1), ("Chen Yi", 2), ("Chen", 0), ("nobody", 0), ("", 4), ("999999", 0)],
)
def test_doctor_filter_matches_names(typed, found, readings_of_doctors, as_supervisor):
    assert len(names(as_supervisor, doctor=typed)) == found


def test_one_of_several_matching_doctors_is_chosen(readings_of_doctors, as_supervisor):
    response = as_supervisor.get(LIST, {"doctor": "chen", "label__exact": "NORMAL"})
    page = response.content.decode()
    assert "Several doctors match “chen”." in page
    links = re.findall(r'href="(\?doctor=\d+&(?:amp;)?label__exact=NORMAL)">(Chen \w+)', page)
    assert {name for _, name in links} == {"Chen Yi", "Chen Er"}
    for link, name in links:
        shown = as_supervisor.get(LIST + html.unescape(link)).context["cl"].result_list
        assert {reading.doctor.display_name for reading in shown} == {name}
        assert len(shown) == {"Chen Yi": 2, "Chen Er": 1}[name]
    assert "No doctor matches" in as_supervisor.get(LIST, {"doctor": "x<b>"}).content.decode()


def test_doctor_filter_keeps_other_filters(readings_of_doctors, as_supervisor):
    page = as_supervisor.get(
        LIST, {"label__exact": "NORMAL", "q": "pat"}, follow=True
    ).content.decode()
    form = page[page.index('class="filter-by-typing"') :].split("</form>")[0]
    assert 'name="label__exact" value="NORMAL"' in form
    assert re.search(r'name="search" value="[\w-]+"', form)


def test_the_list_filters_by_disagreement(active_model, as_supervisor, doctor):
    for label in (Label.NORMAL, Label.PNEUMONIA, Label.UNSURE):
        reading = ReadingFactory(doctor=doctor, label=label, patient_name=label)
        review_reading(doctor=doctor, reading_id=reading.pk, verdict="NORMAL")
    assert names(as_supervisor, agreement__exact="DISAGREE") == {"PNEUMONIA"}
    assert names(as_supervisor, agreement__exact="AGREE") == {"NORMAL"}
    page = as_supervisor.get(LIST).content.decode()
    assert page.count("differs from the model") == 1


def test_the_list_filters_by_model_without_loading_cards(
    active_model, as_supervisor, doctor, django_assert_max_num_queries
):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    ReadingFactory(doctor=doctor)
    with CaptureQueriesContext(connection) as asked:
        assert len(names(as_supervisor, model=active_model.pk)) == 1
        assert len(names(as_supervisor, model=active_model.pk + 1)) == 1, "no such filter"
    assert not any('"card"' in query["sql"] for query in asked.captured_queries)
    assert not any("activation_map" in query["sql"] for query in asked.captured_queries)


def test_date_hierarchy_goes_from_years_to_days(active_model, as_supervisor, doctor):
    first, second = ReadingFactory.create_batch(2, doctor=doctor)
    set_created_at(first, datetime.datetime(2024, 11, 30, 23, 59))
    set_created_at(second, datetime.datetime(2026, 2, 1, 0, 1))

    def steps(**query: object) -> list[str]:
        shown = as_supervisor.get(LIST, query).context["cl"]
        return [step["title"] for step in shown.drill_down()["choices"]]

    assert steps() == ["2026", "2025", "2024"]
    assert steps(created_at__year=2024) == ["November", "December"]
    assert steps(created_at__year=2026) == ["January", "February"]
    assert steps(created_at__year=2026, created_at__month=2) == ["1"]
    assert steps(created_at__year=2024, created_at__month=11) == ["30"]
    assert steps(created_at__year=2026, created_at__month=2, created_at__day=1) == []
    days = {"created_at__year": 2024, "created_at__month": 11, "created_at__day": 30}
    assert names(as_supervisor, **days) == {first.patient_name}
    assert names(as_supervisor, created_at__year=2026) == {second.patient_name}
    assert names(as_supervisor, created_at__year=2025) == set()


def test_the_list_sorts_by_creation_time_only(active_model, as_supervisor, doctor):
    late, early = ReadingFactory.create_batch(2, doctor=doctor)
    set_created_at(early, datetime.datetime(2024, 1, 1))
    page = as_supervisor.get(LIST).content.decode()
    sortable = set(re.findall(r'href="\?o=(-?\d+)"', page))
    assert len(sortable) == 1
    shown = as_supervisor.get(f"{LIST}?o={sortable.pop().lstrip('-')}").context["cl"]
    assert list(shown.result_list) == [early, late]
    shown = as_supervisor.get(f"{LIST}?o=3").context["cl"]
    assert list(shown.result_list) == [late, early]


def test_a_list_filtered_by_exam_date_is_sorted_by_it(active_model, as_supervisor, doctor):
    for day in (1, 3, 2):
        ReadingFactory(doctor=doctor, exam_date=datetime.date(2026, 1, day))
    shown = as_supervisor.get(LIST, {"exam_date__gte": "2026-01-01"}).context["cl"]
    assert [reading.exam_date.day for reading in shown.result_list] == [3, 2, 1]


def test_viewing_the_list_is_audited(active_model, as_supervisor, supervisor, doctor):
    reading = ReadingFactory(doctor=doctor, patient_name="Lin Mei")
    as_supervisor.get(LIST, {"q": "lin mei"}, follow=True)
    row = AuditEntry.objects.get(what="admin list")
    assert row.actor == supervisor
    assert row.object_repr == "q=lin mei"
    assert row.additional_data["shown"] == [str(reading.pk)]


def test_the_export_has_every_documented_column(reading, as_supervisor, doctor):
    Reading.objects.update(label=Label.NORMAL, probabilities={"NORMAL": 0.875, "PNEUMONIA": 0.125})
    review_reading(doctor=doctor, reading_id=reading.pk, verdict="PNEUMONIA", note="left base")
    retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    (row,) = table(as_supervisor)
    assert list(row) == list(export.COLUMNS)
    reading.refresh_from_db()
    assert (
        row
        | {
            "reading": str(reading.pk),
            "read_at": f"{timezone.localtime(reading.created_at):%Y-%m-%d %H:%M:%S}",
            "doctor": "王怡君",
            "doctor_email": doctor.email,
            "patient_name": "陳小明",
            "patient_number": "A123",
            "patient_age_years": "3",
            "exam_date": "2026-01-02",
            "result": "NORMAL",
            "probability_pneumonia": "0.125",
            "rule": "three-valued-1",
            "normal_below": str(reading.normal_below),
            "pneumonia_from": str(reading.pneumonia_from),
            "ranking_threshold": str(reading.threshold),
            "scope_reasons": " ".join(reading.scope_reasons),
            "model": reading.model_name,
            "own_reading": "PNEUMONIA",
            "own_reading_note": "left base",
            "doctor_and_model": "DISAGREE",
            "film_sha256": reading.film_sha256,
            "deleted_because": "MISTAKE",
        }
        == row
    )
    assert row["deleted_at"] != ""


def test_the_export_is_filtered_like_the_list_and_audited(
    readings_of_doctors, as_supervisor, supervisor
):
    rows = table(as_supervisor, doctor="Chen Yi", label__exact="NORMAL")
    assert {row["doctor"] for row in rows} == {"Chen Yi"}
    (row,) = AuditEntry.objects.filter(what="exported")
    assert row.actor == supervisor
    assert row.additional_data["rows"] == len(rows) == 2
    assert row.object_repr == "doctor=Chen Yi&label__exact=NORMAL"
    page = as_supervisor.get(LIST, {"doctor": "Chen Yi"}).content.decode()
    assert f'href="{LIST}export/?doctor=Chen+Yi"' in page


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_exported_cell_is_a_formula(start, active_model, as_supervisor, doctor):
    attack = f"{start}HYPERLINK(1)"
    ReadingFactory(doctor=doctor, patient_name=attack, patient_number=attack)
    (row,) = table(as_supervisor)
    for field in ("patient_name", "patient_number"):
        assert row[field].startswith("'")


def test_the_export_keeps_few_rows_in_memory(active_model, as_supervisor, doctor, monkeypatch):
    fetched = []
    fetch = compiler.cursor_iter

    def counting(*args, **kwargs):
        for chunk in fetch(*args, **kwargs):
            fetched.append(len(chunk))
            yield chunk

    ReadingFactory.create_batch(5, doctor=doctor)
    monkeypatch.setattr(compiler, "cursor_iter", counting)
    monkeypatch.setattr(export, "CHUNK_SIZE", 2)
    monkeypatch.setattr(export, "RECORD_SIZE", 2)
    recorded = []
    made = export.rows(Reading.objects.all(), record=recorded.extend)
    next(made)
    assert fetched == [2], "the rest is fetched while it is sent"
    assert len(recorded) == 2, "the rest is recorded when it is sent"
    assert len(list(made)) == 4
    assert len(recorded) == 5
    assert as_supervisor.get(f"{LIST}export/").streaming


def test_only_supervisors_export(reading, as_doctor, as_ml_engineer, as_supervisor):
    assert as_ml_engineer.get(f"{LIST}export/").status_code == 403
    assert as_doctor.get(f"{LIST}export/").status_code == 302
    assert as_supervisor.post(f"{LIST}export/").status_code == 405
    assert not AuditEntry.objects.filter(what="exported").exists()
