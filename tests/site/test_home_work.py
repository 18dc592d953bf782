"""The home page of a doctor: every number is what the linked page shows."""

import re

import pytest

from diagnosis.models import Stage
from tests import board
from tests.conftest import signed_in
from tests.factories import DoctorFactory, ReadingFactory

pytestmark = pytest.mark.django_db


def tiles(browser) -> dict[str, tuple[str, str]]:
    """Return address and number by the name of each tile."""
    page = browser.get("/", headers={"accept-language": "en"}).content.decode()
    found = re.findall(r"<dt>([^<]+)</dt>\s*<dd>\s*<a[^>]*href=\"([^\"]+)\"[^>]*>(\d+)<", page)
    return {name: (address.replace("&amp;", "&"), number) for name, address, number in found}


def test_numbers_count_the_readings_that_their_links_list(doctor, active_model):
    ReadingFactory.create_batch(2, doctor=doctor, label="PNEUMONIA")
    ReadingFactory(label="PNEUMONIA")  # another doctor's
    found = tiles(signed_in(doctor))
    assert {name: number for name, (_, number) in found.items()} == {
        "Waiting for you": "2", "Not opened yet": "2", "You and the model differ": "0",
        "Drafts": "0", "Need patient data": "0", "Read today": "2",
    }  # fmt: skip
    for name in ("Waiting for you", "Not opened yet", "Read today"):
        page = signed_in(doctor).get(found[name][0]).content.decode()
        assert page.count("readings-link") == 2, name


def test_opened_signed_and_drafted_readings_move_between_the_numbers(doctor, active_model):
    signed, drafted = ReadingFactory.create_batch(2, doctor=doctor, label="PNEUMONIA")
    browser = signed_in(doctor)
    browser.get(f"/readings/{signed.pk}/")
    browser.post(f"/readings/{signed.pk}/own-reading/", {"verdict": "NORMAL"})
    assert signed.opinions.filter(stage=Stage.SIGNED).exists()
    drafted.opinion_drafts.create(doctor=doctor, content={"verdict": "NORMAL"})
    found = {name: number for name, (_, number) in tiles(browser).items()}
    assert found["Waiting for you"] == "1"
    assert found["Not opened yet"] == "1"
    assert found["You and the model differ"] == "1"
    assert found["Drafts"] == "1"


def test_a_home_without_readings_says_what_to_do(doctor, active_model):
    page = signed_in(doctor).get("/", headers={"accept-language": "en"}).content.decode()
    assert "No opinion waits to be signed." in page
    assert "/readings/new/" in page


def test_news_of_the_board_end_when_they_are_read(doctor, active_model):
    topic = board.open_topic(DoctorFactory(), title="Round pneumonia")
    browser = signed_in(doctor)
    assert "Round pneumonia" in browser.get("/").content.decode()
    browser.get(topic.get_absolute_url())
    assert "Round pneumonia" not in browser.get("/").content.decode()
