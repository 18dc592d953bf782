"""Statistics of doctors, the model, and both together."""

import datetime
import re

import pytest
from django.utils import timezone

from accounts.models import User
from diagnosis import opinion_statistics
from diagnosis.models import Opinion, Reading
from diagnosis.opinion_statistics import Row
from diagnosis.services.diagnoses import confirm_diagnosis
from diagnosis.services.opinions import Content, record_opinion
from mlcore.engine import metrics
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db


def read_blind(
    doctor: User, first: str, label: str, final: str, diagnosis: str = "", *, seconds: int = 30
) -> Reading:
    opened = timezone.now() - datetime.timedelta(seconds=seconds)
    reading = ReadingFactory(
        doctor=doctor, label=label, blind_first=True, withheld=True, opened_at=opened
    )
    for stage, verdict in (("FIRST", first), ("SIGNED", final)):
        record_opinion(doctor=doctor, reading_id=reading.pk, content=Content(verdict), stage=stage)
    if diagnosis:
        confirm_diagnosis(
            by=doctor, reading_id=reading.pk, value=diagnosis, source="COURSE",
            confirmed_on=datetime.date(2026, 1, 9),
        )  # fmt: skip
    return reading


def text_of(response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def test_figures_are_counted_against_diagnosis_and_signed_opinion(
    active_model, doctor, other_doctor, as_doctor, as_supervisor
):
    for first, label, final, diagnosis in (
        ("PNEUMONIA", "PNEUMONIA", "PNEUMONIA", "PNEUMONIA"),
        ("NORMAL", "PNEUMONIA", "PNEUMONIA", "PNEUMONIA"),  # corrected by the model
        ("PNEUMONIA", "NORMAL", "NORMAL", "PNEUMONIA"),  # spoiled by the model
        ("NORMAL", "NORMAL", "NORMAL", "NORMAL"),
        ("OTHER", "PNEUMONIA", "OTHER", "OTHER"),
        ("CANNOT_TELL", "UNSURE", "NORMAL", "NORMAL"),
        ("PNEUMONIA", "NORMAL", "PNEUMONIA", ""),
    ):
        read_blind(doctor, first, label, final, diagnosis)
    ReadingFactory(doctor=doctor)  # without an opinion
    ReadingFactory(doctor=doctor, withheld=True, blind_first=True)
    found = opinion_statistics.of(Reading.objects.own_of(doctor))
    assert found.films == 7
    by_name = {one.name: one for one in found.against_diagnosis}
    doctor_alone, model, both = (by_name[name] for name in ("doctor", "model", "combined"))
    assert (doctor_alone.tp, doctor_alone.fn, doctor_alone.tn, doctor_alone.fp) == (2, 1, 2, 0)
    assert (model.tp, model.fn, model.tn, model.fp, model.undecided) == (2, 1, 1, 1, 1)
    assert (both.tp, both.fn, both.tn, both.fp) == (2, 1, 3, 0)
    assert doctor_alone.undecided == 1
    assert [one.name for one in found.against_final] == ["doctor", "model"]
    changes = found.changes
    assert (changes.n, changes.changed, changes.to_model, changes.from_model) == (6, 2, 2, 0)
    assert (changes.spoiled, changes.right, changes.corrected, changes.wrong) == (1, 4, 1, 1)
    assert found.times[0].median.value == pytest.approx(30, abs=2)
    page = text_of(as_doctor.get("/readings/statistics/"))
    assert "7 X-rays with an opinion" in page
    assert "A right opinion became wrong 25.0% 1 of 4; 4.6 to 69.9%" in page
    # Another doctor's figures are separate; a supervisor sees both.
    read_blind(other_doctor, "NORMAL", "NORMAL", "NORMAL", "NORMAL")
    address = "/admin/diagnosis/reading/statistics/"
    assert "8 X-rays with an opinion" in text_of(as_supervisor.get(address))
    one = as_supervisor.get(address, {"doctor": other_doctor.pk, "period": "all"})
    assert "1 X-ray with an opinion" in text_of(one)


def test_nothing_is_reported_as_zero(active_model, as_doctor):
    page = text_of(as_doctor.get("/readings/statistics/?period=nonsense"))
    assert page.count("not enough data") == 21
    assert not re.search(r"\b0\.0%", page)


def test_the_queries_do_not_grow_with_the_readings(active_model, doctor, django_assert_num_queries):
    for _ in range(3):
        read_blind(doctor, "NORMAL", "NORMAL", "NORMAL")
    with django_assert_num_queries(4):
        opinion_statistics.of(Reading.objects.counted())


def test_a_page_left_open_is_no_reading_time(active_model, doctor):
    read_blind(doctor, "NORMAL", "NORMAL", "NORMAL", seconds=4000)
    first = opinion_statistics.of(Reading.objects.own_of(doctor)).times[0]
    assert (first.median.value, first.median.n, first.too_long) == (None, 0, 1)
    assert Opinion.objects.get(stage="FIRST").seconds == pytest.approx(4000, abs=2)


def test_kappa_equals_published_values():
    # Fleiss, Cohen and Everitt 1969, table 1, as proportions of 200 films.
    table = [[106, 10, 4], [22, 28, 10], [2, 12, 6]]
    kappa, (low, high) = metrics.cohens_kappa(table)
    assert kappa == pytest.approx(0.429, abs=0.001)
    assert (high - low) / 2 / 1.96 == pytest.approx(0.0536, abs=0.001)
    kappa, interval = metrics.cohens_kappa([[5, 0], [0, 5]])
    assert kappa == 1
    assert str(interval) == "(nan, nan)"
    with pytest.warns(metrics.UndefinedMetricWarning):
        assert str(metrics.cohens_kappa([[7, 0], [0, 0]])[0]) == "nan"


@pytest.mark.parametrize(
    ("n", "ranks"), [(5, None), (6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (100, (40, 61))]
)
def test_the_medians_interval_is_between_order_statistics(n, ranks):
    # Conover, Practical Nonparametric Statistics, ranks for 95 %.
    median, (low, high) = metrics.median_interval(range(1, n + 1))
    assert median == (n + 1) / 2
    assert (str(low) == "nan") if ranks is None else ((low, high) == ranks)


def test_undecided_is_neither_right_nor_wrong():
    rows = [Row("OUT_OF_SCOPE", "", "PNEUMONIA", "PNEUMONIA", 4)]
    model = opinion_statistics.accuracy("model", rows, reference=lambda row: row.diagnosis)
    assert (model.n, model.undecided) == (0, 4)
    assert model.sensitivity.value is None
