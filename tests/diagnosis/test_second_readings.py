"""Second readings: independent, on record with the first opinion, and decided by an arbiter."""

import pytest
from django.db import IntegrityError, models, transaction

from accounts.models import AuditEntry
from diagnosis.models import (
    Opinion,
    Reading,
    Review,
    SecondReadingRule,
    SecondState,
    Stage,
    Team,
    TeamMembership,
    Verdict,
)
from diagnosis.opinion_statistics import of
from diagnosis.services import second_readings
from diagnosis.services.opinions import Content, review_reading
from diagnosis.services.report_content import report_content
from diagnosis.services.teams import share_with_team
from tests.conftest import post_film, signed_in
from tests.diagnosis.test_blind_first import ANSWERS, CHANGING
from tests.factories import DoctorFactory, ReadingFactory
from tests.films import encode, synthetic_film


@pytest.fixture
def arbiter(db):
    return DoctorFactory(display_name="許文彬")


@pytest.fixture
def team(doctor, other_doctor, arbiter):
    team = Team.objects.create(name="Ward", second_reading=SecondReadingRule.ALL)
    roles = TeamMembership.Role
    for member, role in (
        (doctor, roles.MEMBER),
        (other_doctor, roles.MEMBER),
        (arbiter, roles.ARBITER),
    ):
        TeamMembership.objects.create(team=team, user=member, role=role)
    return team


@pytest.fixture
def read(team, as_doctor, lenient_model) -> Reading:
    """A reading of the team that its doctor has not signed."""
    film = encode(synthetic_film("PNEUMONIA", seed=3, size=512), "png")
    post_film(as_doctor, film, team=team.pk)
    return Reading.objects.get()


@pytest.fixture
def signed(read, doctor) -> Reading:
    sign(read, doctor, Verdict.NORMAL)
    return read


def sign(reading, doctor, verdict, note="first words"):
    review_reading(doctor=doctor, reading_id=reading.pk, verdict=verdict, note=note)
    reading.refresh_from_db()


def second(reading, by, verdict, stage=Stage.SECOND):
    second_readings.record(
        by=by, reading_id=reading.pk, content=Content(verdict=verdict, note="other"), stage=stage
    )
    reading.refresh_from_db()


def send(browser, reading, verdict, stage="SECOND"):
    page = f"{reading.get_absolute_url()}second/"
    return browser.post(page, {"verdict": verdict, "stage": stage}, follow=True)


LISTS = [
    *(f"scope=team{more}" for more in ("", "&sort=-probability", "&own=NORMAL",
                                       "&result=PNEUMONIA")),
    "scope=second&sort=-probability", "scope=second&result=PNEUMONIA",
]  # fmt: skip
SAID = (
    {"label": "NORMAL", "own_verdict": "NORMAL", "agreement": "AGREE"},
    {"label": "PNEUMONIA", "own_verdict": "NORMAL", "agreement": "DISAGREE"},
    {"label": "UNSURE", "own_verdict": "OTHER", "agreement": ""},
)


def told(browser, reading) -> dict[str, tuple[object, ...]]:
    """Return what a browser gets of a reading: its pages, and the lists that tell of results."""
    address = reading.get_absolute_url()
    pages = [address + part for part in ("", "heatmap/", "report/", "film/?size=thumb")]
    pages += ["/", "/readings/statistics/", reading.study.patient.get_absolute_url()]
    pages += [f"/readings/?{query}" for query in LISTS]
    found = {page: browser.get(page) for page in pages}
    found["others"] = browser.post(f"{address}other-films/")
    return {
        page: (sent.status_code, CHANGING.sub(b"", sent.content)) for page, sent in found.items()
    }


def test_colleagues_wait_from_the_upload_until_the_second_opinion(
    read, doctor, other_doctor, as_other_doctor, as_doctor
):
    assert read.second_state == SecondState.HELD
    address = read.get_absolute_url()
    assert read.probability_text in as_doctor.get(address).content.decode()
    assert as_other_doctor.get(address + "heatmap/").status_code == 404
    assert as_other_doctor.get(address + "report/").headers["Location"] == address
    assert "own opinion" not in as_other_doctor.get(address).content.decode()
    sign(read, doctor, Verdict.NORMAL)
    assert read.second_state == SecondState.WAITS
    page = as_other_doctor.get(address).content.decode()
    assert "Your second opinion" in page
    assert "first words" not in page
    assert read.probability_text not in page
    page = send(as_other_doctor, read, "NORMAL").content.decode()
    assert "first words" in page
    assert read.probability_text in page
    assert "Two doctors read this X-ray independently and agree." in page


@pytest.mark.parametrize("state", [SecondState.HELD, SecondState.WAITS])
def test_no_response_depends_on_the_first_opinion_or_the_result(
    signed, doctor, other_doctor, as_other_doctor, state
):
    for label in ("NORMAL", "PNEUMONIA"):
        ReadingFactory(doctor=doctor, label=label, team=signed.team)
    Reading.objects.update(assigned_to=other_doctor)
    told(as_other_doctor, signed)  # makes what is made once
    before: dict = {}
    for answer, said in zip(ANSWERS.values(), SAID, strict=False):
        Reading.objects.filter(pk=signed.pk).update(**answer | said, second_state=state)
        verdict = said["own_verdict"]
        Review.objects.update(verdict=verdict, note=verdict * 3)
        models.QuerySet(Opinion).update(verdict=verdict, note=verdict * 3)
        sent = told(as_other_doctor, signed)
        assert not [address for address in before if sent[address] != before[address]]
        before = sent
    # The comparison has teeth: once the second opinion is given, the same pages differ.
    Reading.objects.filter(pk=signed.pk).update(second_state=SecondState.DONE)
    shown = told(as_other_doctor, signed)
    assert len([address for address in shown if shown[address] != before[address]]) > 3


def test_arbiter_decides_where_the_two_differ(
    signed, other_doctor, arbiter, as_doctor, as_other_doctor
):
    as_arbiter = signed_in(arbiter)
    send(as_other_doctor, signed, "PNEUMONIA")
    signed.refresh_from_db()
    assert signed.second_state == SecondState.SPLIT
    assert "waits for an arbiter" in as_doctor.get(signed.get_absolute_url()).content.decode()
    assert "Sign decision" not in as_other_doctor.get(signed.get_absolute_url()).content.decode()
    page = as_arbiter.get("/readings/?scope=arbiter").content.decode()
    assert str(signed.pk) in page
    page = as_arbiter.get(signed.get_absolute_url()).content.decode()
    assert "first words" in page
    assert "Sign decision" in page
    send(as_arbiter, signed, "PNEUMONIA", stage="ARBITER")
    signed.refresh_from_db()
    assert signed.second_state == SecondState.DONE
    stages = Opinion.objects.order_by("pk").values_list("stage", "verdict")
    assert list(stages) == [("SIGNED", "NORMAL"), ("SECOND", "PNEUMONIA"), ("ARBITER", "PNEUMONIA")]
    events = set(AuditEntry.objects.values_list("what", flat=True))
    assert {"second-asked", "second-opinion", "arbitrated"} <= events
    said = [each.recorded for each in report_content(signed, with_map=False).assessment]
    assert len(said) == 3
    statistics = of(Reading.objects.all())
    pair = statistics.agreements[-1]
    assert (pair.name, pair.n, pair.table) == ("first-second", 1, [[0, 0], [1, 0]])
    done = statistics.arbitration
    assert (done.n, done.differed, done.decided, done.for_second) == (1, 1, 1, 1)


def test_queue_has_what_waits_for_me_and_nothing_of_mine(signed, as_doctor, as_other_doctor):
    page = as_other_doctor.get("/readings/?scope=second").content.decode()
    assert str(signed.pk) in page
    assert "To read a second time" in as_other_doctor.get("/readings/").content.decode()
    assert str(signed.pk) not in as_doctor.get("/readings/?scope=second").content.decode()


def test_only_who_is_asked_may_answer(signed, doctor, other_doctor, arbiter, as_doctor):
    for by, stage in ((doctor, Stage.SECOND), (DoctorFactory(), Stage.SECOND),
                      (arbiter, Stage.ARBITER), (other_doctor, Stage.ARBITER)):  # fmt: skip
        with pytest.raises(second_readings.NotAskedError):
            second(signed, by, Verdict.NORMAL, stage)
    second(signed, arbiter, Verdict.PNEUMONIA)
    with pytest.raises(second_readings.NotAskedError):
        second(signed, other_doctor, Verdict.NORMAL)
    # The arbiter was the second reader, so another has to decide.
    with pytest.raises(second_readings.NotAskedError):
        second(signed, arbiter, Verdict.NORMAL, Stage.ARBITER)
    assert send(as_doctor, signed, "NORMAL").status_code == 200
    assert Opinion.objects.filter(stage=Stage.SECOND).count() == 1


def test_there_is_one_second_opinion_even_in_a_race(signed, other_doctor, arbiter):
    second(signed, other_doctor, Verdict.NORMAL)
    with pytest.raises(IntegrityError), transaction.atomic():
        Opinion.objects.create(reading=signed, author=arbiter, stage=Stage.SECOND, verdict="NORMAL")


def test_form_with_errors_is_shown_again(signed, as_other_doctor):
    page = f"{signed.get_absolute_url()}second/"
    response = as_other_doctor.post(page, {"stage": "SECOND"})
    assert response.status_code == 200
    assert "Sign second opinion" in response.content.decode()
    assert signed.probability_text not in response.content.decode()


@pytest.mark.parametrize(
    ("verdict", "asked"), [(Verdict.NORMAL, SecondState.WAITS), (Verdict.PNEUMONIA, None)]
)
def test_rule_of_disagreement(team, read, doctor, verdict, asked):
    Team.objects.update(second_reading=SecondReadingRule.DISAGREEMENT)
    Reading.objects.update(label="PNEUMONIA")
    sign(read, doctor, verdict)
    assert read.second_state == asked


@pytest.mark.parametrize(("drawn", "asked"), [(9, SecondState.WAITS), (10, None)])
def test_random_sample(team, read, doctor, monkeypatch, drawn, asked):
    Team.objects.update(second_reading=SecondReadingRule.SAMPLE, second_percent=10)
    monkeypatch.setattr(second_readings.secrets, "randbelow", lambda most: drawn)
    sign(read, doctor, Verdict.NORMAL)
    assert read.second_state == asked


def test_team_without_the_rule_shares_at_once(read, doctor, as_other_doctor):
    plain = Team.objects.create(name="Plain")
    TeamMembership.objects.create(team=plain, user=doctor)
    share_with_team(doctor=doctor, reading_ids=[read.pk], team=plain)
    read.refresh_from_db()
    assert read.second_state is None
    sign(read, doctor, Verdict.NORMAL)
    assert read.second_state is None


def test_uploading_the_same_film_shows_nothing(signed, as_other_doctor, other_doctor):
    film = encode(synthetic_film("PNEUMONIA", seed=3, size=512), "png")
    post_film(as_other_doctor, film, team="", patient_name="林美", patient_number="9")
    own = Reading.objects.get(doctor=other_doctor)
    assert own.withheld
