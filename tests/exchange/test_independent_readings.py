"""Second readings stay independent whatever way a colleague asks."""

import pytest
from django.core.exceptions import PermissionDenied

from diagnosis.models import (
    Opinion,
    Reading,
    SecondReadingRule,
    Stage,
    Team,
    TeamMembership,
    Verdict,
)
from diagnosis.services import second_readings, sharing, teams
from diagnosis.services.opinions import Content, review_reading
from diagnosis.signals import Change, reading_changed
from exchange.fhir import queueing
from exchange.fhir.models import FhirDelivery, FhirServer
from exchange.outgoing.models import Delivery
from tests.conftest import signed_in
from tests.exchange.api.conftest import Program
from tests.exchange.fhir.server import serving
from tests.exchange.outgoing.results import target

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(doctor, other_doctor):
    team = Team.objects.create(name="Ward", second_reading=SecondReadingRule.ALL)
    for member in (doctor, other_doctor):
        TeamMembership.objects.create(team=team, user=member)
    return team


@pytest.fixture
def reading(team, doctor, active_model, film_bytes) -> Reading:
    """A reading that its doctor has signed and that waits for the second reader."""
    response = Program(doctor).upload(film_bytes, team=str(team.pk))
    assert response.status_code == 201, response.content
    reading = Reading.objects.get()
    review_reading(doctor=doctor, reading_id=reading.pk, verdict=Verdict.NORMAL, note="first words")
    return reading


def second_opinion(reading, reader):
    second_readings.record(
        by=reader,
        reading_id=reading.pk,
        content=Content(verdict=Verdict.NORMAL),
        stage=Stage.SECOND,
    )


def test_the_second_reader_sees_no_opinion_by_the_api(reading, doctor, other_doctor):
    address = f"/readings/{reading.pk}/reviews"
    reader = Program(other_doctor)
    found = reader.get(address).json()
    assert found["items"] == []
    assert not found["is_signed"]
    assert len(Program(doctor).get(address).json()["items"]) == Opinion.objects.count()

    second_opinion(reading, other_doctor)
    found = reader.get(address).json()
    assert [each["stage"] for each in found["items"]][-1] == "SECOND"
    assert found["is_signed"]


def test_nothing_leaves_before_the_second_opinion(reading, other_doctor):
    """Colleagues look at the archive and at the hospital's record, too."""
    with serving() as store:
        FhirServer.objects.create(
            name="HIS", url=store.url, is_enabled=True, sends_document=False, sends_unsure=True,
            sends_out_of_scope=True,
        )  # fmt: skip
        target(sends_unsure=True, sends_out_of_scope=True)
        reading.refresh_from_db()
        reading_changed.send(Reading, reading=reading, what=Change.OPINION)
        queueing.send_due()
        assert not Delivery.objects.exists()
        assert store.resources == {}
        assert (
            FhirDelivery.objects.get().error
            == "A second reading or an arbiter's decision comes first."
        )

        second_opinion(reading, other_doctor)
        queueing.send_due()
        assert Delivery.objects.get().state == Delivery.State.WAITING
        assert store.of("DiagnosticReport")


def test_a_reading_leaves_its_team_only_if_nobody_is_to_read_it(reading, doctor):
    target(sends_unsure=True, sends_out_of_scope=True)
    browser, page = signed_in(doctor), reading.get_absolute_url()
    response = browser.post(f"{page}team/", {"team": ""}, follow=True)
    assert "comes first" in response.content.decode()
    assert not Delivery.objects.exists()
    TeamMembership.objects.exclude(user=doctor).delete()  # nobody is left who could read it
    teams.share_with_team(doctor=doctor, reading_ids=[reading.pk], team=None)
    assert Delivery.objects.get().state == Delivery.State.WAITING


def test_a_case_is_not_posted_before_the_second_opinion(reading, doctor, monkeypatch):
    monkeypatch.setattr(sharing, "may_share", lambda user: True)
    with pytest.raises(PermissionDenied):
        sharing.share_case(
            doctor=doctor, reading_id=reading.pk, category="", title="", body="", boxes=[],
            submission=reading.pk,
        )  # fmt: skip
