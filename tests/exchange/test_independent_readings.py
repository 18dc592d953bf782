"""Second readings stay independent whatever way a colleague asks."""

import pytest

from diagnosis.models import (
    Opinion,
    Reading,
    SecondReadingRule,
    Stage,
    Team,
    TeamMembership,
    Verdict,
)
from diagnosis.services import second_readings
from diagnosis.services.opinions import Content, review_reading
from tests.exchange.api.conftest import Program

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


def test_the_second_reader_sees_no_opinion_by_the_api(reading, doctor, other_doctor):
    address = f"/readings/{reading.pk}/reviews"
    reader = Program(other_doctor)
    found = reader.get(address).json()
    assert found["items"] == []
    assert not found["is_signed"]
    assert len(Program(doctor).get(address).json()["items"]) == Opinion.objects.count()

    second_readings.record(
        by=other_doctor,
        reading_id=reading.pk,
        content=Content(verdict=Verdict.NORMAL),
        stage=Stage.SECOND,
    )
    found = reader.get(address).json()
    assert [each["stage"] for each in found["items"]][-1] == "SECOND"
    assert found["is_signed"]
