"""The worklist: its orders, filters and counts, what is unread, steps and live changes."""

import datetime
import re
from itertools import pairwise
from types import SimpleNamespace

import pytest
from django.utils import timezone

from diagnosis.models import Label, Reading, Review, Verdict
from diagnosis.services.opinions import review_reading
from diagnosis.worklist import lists, orders
from tests.conftest import patient_details
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db
LIST = "/readings/"


def film(doctor, name, label=Label.NORMAL, probability=0.1, hours=1.0, **fields) -> Reading:
    """Create a reading that was made some hours ago."""
    made = timezone.now() - datetime.timedelta(hours=hours)
    reading = ReadingFactory(
        doctor=doctor, patient_name=name, label=label, waiting_since=made,
        probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability}, **fields,
    )  # fmt: skip
    Reading.objects.filter(pk=reading.pk).update(created_at=made)
    return reading


def shown(browser, query: str = "") -> list[str]:
    response = browser.get(f"{LIST}{query}", follow=True)
    assert response.status_code == 200
    return [reading.patient_name for reading in response.context["readings"]]


def reviewed(reading: Reading, verdict: str = Verdict.NORMAL) -> None:
    review_reading(doctor=reading.doctor, reading_id=reading.pk, verdict=verdict)


@pytest.fixture
def films(active_model, doctor, other_doctor) -> dict[str, Reading]:
    ReadingFactory(doctor=other_doctor, patient_name="Not mine", label=Label.PNEUMONIA)
    made = [
        film(doctor, "Normal", hours=5),
        film(doctor, "Likely", Label.PNEUMONIA, 0.96),
        film(doctor, "Certain", Label.PNEUMONIA, 0.99, hours=2),
        film(doctor, "Unsure", Label.UNSURE, 0.6),
        film(doctor, "Refused", Label.OUT_OF_SCOPE, 0.97, hours=4),
        film(doctor, "Old normal", hours=26),
        film(doctor, "Oldest", Label.UNSURE, 0.5, hours=30),
        film(doctor, "Assessed", Label.PNEUMONIA, 0.98, hours=40),
    ]
    reviewed(made[-1])
    return {reading.patient_name: reading for reading in made}


TRIAGE = [
    "Oldest", "Old normal", "Certain", "Likely", "Unsure", "Normal", "Refused", "Assessed",
]  # fmt: skip


def test_triage_puts_long_waits_first_then_pneumonia_by_probability(films, as_doctor):
    assert shown(as_doctor) == TRIAGE
    page = as_doctor.get(LIST).content.decode()
    assert "waiting 26 hours" in page
    assert page.count("readings-overdue") == 2


def test_the_longest_wait_is_a_setting(films, as_doctor, settings):
    settings.WORKLIST_MAX_WAIT_HOURS = 3
    assert shown(as_doctor)[:4] == ["Oldest", "Old normal", "Normal", "Refused"]


def test_pages_show_every_reading_once_forwards_and_backwards(films, doctor, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_SIZE", 7)
    for n in range(16):
        film(
            doctor, "Normal" if n % 3 else "Likely", [*Label][n % 4], n % 5 / 5,
            hours=n * 3, patient_age_years=n % 3, withheld=n % 5 == 0,
            exam_date=datetime.date(2026, 1, 1 + n % 4),
        )  # fmt: skip
    rows = {reading.pk: reading for reading in Reading.objects.all()}
    for sort in orders.SORTS:
        worklist = lists.Worklist(SimpleNamespace(user=doctor), {"sort": sort})
        keys = walked(worklist)
        assert len(keys) == len(set(keys)) == 24, sort
        if sort != "triage":
            values = [value_of(sort.lstrip("-"), rows[key]) for key in keys]
            values = values[::-1] if sort.startswith("-") else values
            assert all(one <= other for one, other in pairwise(values)), sort


def walked(worklist) -> list[object]:
    """Go to the end of a list and back, page by page; return its keys."""
    page = worklist.page()
    pages = [page.keys]
    while page.has_next:
        page = worklist.page(after=worklist.place_of(page.keys[-1]))
        pages.append(page.keys)
    for expected in reversed(pages[:-1]):
        page = worklist.page(before=worklist.place_of(page.keys[0]))
        assert page.keys == expected
    assert not page.has_previous
    return [key for keys in pages for key in keys]


def test_links_between_pages_name_no_patient(films, as_doctor, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_SIZE", 3)
    first = as_doctor.get(f"{LIST}?sort=name&q=e", follow=True)
    second = as_doctor.get(LIST + link_of(first, "next"))
    assert "4–6 of 6" in second.content.decode()
    back = as_doctor.get(LIST + link_of(second, "prev"))
    assert list(back.context["readings"]) == list(first.context["readings"])
    assert "1–3 of 6" in back.content.decode()


def link_of(page, rel: str) -> str:
    """Return the query string of a link between pages, which names no patient."""
    link = re.search(rf'rel="{rel}"\s+href="/readings/(\?[^"]+)"', page.content.decode())
    assert link is not None
    query = link[1].replace("&amp;", "&")
    assert not re.search("normal|likely|q=", query, re.IGNORECASE)
    return query


def value_of(sort: str, reading: Reading):
    """Return what a list is sorted by, as a doctor reads it in a row."""
    results = ["PNEUMONIA", "UNSURE", "NORMAL", "OUT_OF_SCOPE", "withheld"]
    hidden = reading.withheld or reading.label == Label.OUT_OF_SCOPE
    return {
        "name": reading.patient_name_key,
        "age": reading.patient_age_years,
        "exam": reading.exam_date,
        "result": results.index("withheld" if reading.withheld else reading.label),
        "probability": -1 if hidden else reading.probability,
        "read": reading.created_at,
    }[sort]


def test_the_numbers_beside_filters_are_what_they_lead_to(films, as_doctor):
    as_doctor.get(f"/readings/{films['Likely'].pk}/")
    chips = as_doctor.get(LIST).context["chips"]
    numbers = {chip["label"]: chip["count"] for chip in chips}
    assert numbers == {
        "All": 8, "Waiting for you": 7, "Not opened yet": 7, "No assessment": 7,
        "Differs from the model": 1, "Pneumonia": 3, "Inconclusive": 2, "Out of scope": 1,
    }  # fmt: skip
    for chip in chips:
        assert len(shown(as_doctor, f"?{chip['query']}")) == chip["count"], chip["label"]
    page = as_doctor.get(f"{LIST}?own=none").content.decode()
    assert re.search(r'<option value="PNEUMONIA">\s*Pneumonia \(2\)', page), "within the filter"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?state=waiting&result=UNSURE", {"Oldest", "Unsure"}),
        ("?own=differs", {"Assessed"}),
        ("?age_from=4", {"Likely"}),
        ("?age_from=3&age_to=3&result=PNEUMONIA", {"Certain", "Assessed"}),
        ("?date_from=2026-02-01&date_to=2026-02-01", {"Unsure"}),
        ("?read_to=2020-01-01", set()),
        ("?period=month&q=old", {"Old normal", "Oldest"}),
        ("?read_to=9999-12-31", set(TRIAGE)),
        ("?tag=12345", set(TRIAGE)),
    ],
)
def test_filters(query, found, films, as_doctor):
    Reading.objects.filter(patient_name="Likely").update(patient_age_years=5)
    Reading.objects.filter(patient_name="Unsure").update(exam_date="2026-02-01")
    assert set(shown(as_doctor, query)) == found


def test_a_withheld_result_leaks_nowhere(active_model, doctor, as_doctor):
    early = film(doctor, "Early", Label.NORMAL, 0.01, hours=3, withheld=True)
    late = film(doctor, "Late", Label.PNEUMONIA, 0.987, hours=2, withheld=True)
    film(doctor, "Open", Label.UNSURE, 0.6)
    page = as_doctor.get(LIST).content.decode()
    assert "0.98" not in page
    numbers = {chip["label"]: chip["count"] for chip in as_doctor.get(LIST).context["chips"]}
    assert (numbers["All"], numbers["Pneumonia"], numbers["Inconclusive"]) == (3, 0, 1)
    assert shown(as_doctor, "?result=PNEUMONIA") == []
    for sort in ("triage", "-probability", "probability", "result", "-result"):
        places = shown(as_doctor, f"?sort={sort}")
        before = places.index("Early") < places.index("Late")
        swapped = {early.pk: Label.PNEUMONIA, late.pk: Label.NORMAL}
        for key, label in swapped.items():
            Reading.objects.filter(pk=key).update(label=label)
        assert (shown(as_doctor, f"?sort={sort}").index("Early") < shown(
            as_doctor, f"?sort={sort}"
        ).index("Late")) == before, "the place depends on the result"  # fmt: skip
    sent = {"action": "export", "selected": [early.pk, late.pk]}
    lines = b"".join(as_doctor.post("/readings/bulk/", sent)).decode()
    assert "Late" in lines
    assert not re.search(r"PNEUMONIA,|NORMAL|0\.9|0\.01", lines.split("\n", 1)[1])


def test_derived_columns_follow_every_change(reading, doctor, as_doctor):
    """What lists are sorted by is what the pages show, after each way to change it."""

    def columns() -> tuple[object, ...]:
        now = Reading.objects.get(pk=reading.pk)
        review = Review.objects.filter(reading=reading).first()
        assert now.own_verdict == (review.verdict if review else "")
        assert (now.waiting_since is None) == (review is not None)
        assert now.is_unread == (now.opened_at is None)
        refused = now.label == Label.OUT_OF_SCOPE
        assert now.pneumonia_probability == (-1 if refused else now.probability)
        assert now.urgency == {"PNEUMONIA": 0, "UNSURE": 1}.get(now.label, 3)
        return now.label, now.own_verdict

    seen = {columns()}
    for label in Label:
        Reading.objects.update(label=label)
        seen.add(columns())
    as_doctor.post(f"/readings/{reading.pk}/edit/", patient_details(patient_age_years=60))
    seen.add(columns())
    for verdict in (Verdict.PNEUMONIA, Verdict.OTHER):
        reviewed(reading, verdict)
        seen.add(columns())
    assert len(seen) >= 6


def test_a_reading_is_read_once_its_page_was_opened(films, as_doctor, as_supervisor):
    reading = films["Certain"]
    for address in ("film/?size=thumb", "report/", "edit/"):
        as_doctor.get(f"/readings/{reading.pk}/{address}")
    as_supervisor.get(f"/readings/{reading.pk}/")
    assert "Certain" in shown(as_doctor, "?state=unread")
    as_doctor.get(f"/readings/{reading.pk}/")
    assert "Certain" not in shown(as_doctor, "?state=unread")


def test_steps_follow_the_list_although_work_moves_its_readings(films, as_doctor, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_SIZE", 3)
    page = as_doctor.get(f"{LIST}?state=waiting")
    key = page.context["list_key"]
    path = [films["Oldest"]]
    for _ in range(6):
        reviewed(path[-1])
        answer = as_doctor.get(f"/readings/{path[-1].pk}/step/next/?list={key}")
        pk = answer.headers["Location"].split("/")[2]
        path.append(Reading.objects.get(pk=pk))
    assert [reading.patient_name for reading in path] == TRIAGE[:7]
    end = as_doctor.get(f"/readings/{path[-1].pk}/step/next/?list={key}")
    assert end.headers["Location"].startswith(f"{LIST}?")
    back = as_doctor.get(f"/readings/{path[-1].pk}/step/previous/?list={key}")
    assert str(path[-2].pk) in back.headers["Location"] or back.status_code == 302


def test_the_next_unread_reading_skips_opened_ones(films, as_doctor):
    key = as_doctor.get(LIST).context["list_key"]
    for name in ("Oldest", "Old normal", "Certain"):
        as_doctor.get(f"/readings/{films[name].pk}/")
    there = as_doctor.get(f"/readings/{films['Oldest'].pk}/step/unread/?list={key}")
    assert there.headers["Location"] == f"/readings/{films['Likely'].pk}/?list={key}"
    Reading.objects.update(opened_at=timezone.now())
    none = as_doctor.get(f"/readings/{films['Oldest'].pk}/step/unread/?list={key}", follow=True)
    assert "no unread reading" in none.content.decode()


def test_an_open_list_learns_of_changes_only(films, doctor, as_doctor):
    address = "/readings/changes/"
    first = as_doctor.get(address)
    stamp = {"If-None-Match": first.headers["ETag"]}
    assert as_doctor.get(address, headers=stamp).status_code == 304
    reviewed(films["Likely"], Verdict.PNEUMONIA)
    changed = as_doctor.get(address, headers=stamp)
    assert "You: Pneumonia" in changed.content.decode()
    stamp = {"If-None-Match": changed.headers["ETag"]}
    film(doctor, "New one", Label.PNEUMONIA, 0.97)
    assert "New one" in as_doctor.get(address, headers=stamp).content.decode()


def test_an_open_list_does_not_keep_the_session_alive(films, as_doctor):
    def seen():
        return as_doctor.session.get("session_seen")

    as_doctor.get(LIST)
    session = as_doctor.session
    session["session_seen"] = before = [timezone.now().timestamp() - 600, "", 0.0]
    session.save()
    as_doctor.get("/readings/changes/")
    assert seen() == before
    as_doctor.get(LIST)
    assert seen() != before
