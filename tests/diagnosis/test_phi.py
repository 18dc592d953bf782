"""A text that names one of its author's own patients gives a warning."""

import pytest
from django.utils import translation

from diagnosis import phi, retention
from forum import personal_data
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(active_model, doctor):
    """Return a function that creates a reading of the doctor."""

    def make(name: str = "Nobody Else", number: str = "", **fields):
        fields = {"doctor": doctor, "patient_name": name, "patient_number": number} | fields
        return ReadingFactory(**fields)

    return make


def found(doctor, text: str) -> list[str]:
    with translation.override("en"):
        return list(phi.check(doctor, text))


@pytest.mark.parametrize(
    ("name", "text", "is_found"),
    [
        ("陳小明", "我的病人陳小明咳嗽三天", True),
        ("陳小明", "我的病人陳小華咳嗽三天", False),
        ("Chen Mei", "this is CHEN  mei, who coughs", True),
        ("Chen Mei", "病人Chen Mei咳嗽", True),
        ("Chen Mei", "ｃｈｅｎ ｍｅｉ", True),
        ("Chen Mei", "Chen\nMei.", True),
        ("Chen", "Kitchener's film", False),
        ("Chen", "Kitchen, then Chen", True),
        ("An", "an opacity", True),
        ("An", "a banal opacity", False),
        ("Łukasz", "ŁUKASZ!", True),
        ("林", "林口的病人", False),
        ("X", "X-ray", False),
        ("O'Neil (twin)", "it is o'neil (twin)", True),
        ("50%_", "in 50%_ of them", True),
    ],
)
def test_patient_names_in_text(name, text, is_found, make, doctor):
    make(name)
    sentences = found(doctor, text)
    assert bool(sentences) is is_found
    if is_found:
        assert f"“{name}”" in sentences[0]


@pytest.mark.parametrize(
    ("number", "text", "is_found"),
    [
        ("A1234567", "number a1234567 again", True),
        ("A1234567", "病歷號00A1234567號", True),
        ("1234", "1234", True),
        ("123", "1234", False),
        ("", "1234", False),
    ],
)
def test_patient_numbers_in_text(number, text, is_found, make, doctor):
    make(number=number)
    sentences = found(doctor, text)
    assert bool(sentences) is is_found
    if is_found:
        assert f"“{number}”" in sentences[0]


def test_deleted_readings_are_searched_too(make, doctor):
    reading = make("陳小明")
    retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="NOT_NEEDED")
    assert len(found(doctor, "陳小明")) == 1


def test_other_doctors_patients_are_not_found_in_a_text(make, doctor, other_doctor, supervisor):
    make("陳小明", "A1234567")
    for person in (other_doctor, supervisor):
        assert found(person, "陳小明 A1234567") == []


def test_each_patient_is_named_once_and_at_most_five(make, doctor):
    for number in range(8):
        make("陳小明", f"N000{number}")
    sentences = found(doctor, "陳小明 " + " ".join(f"N000{number}" for number in range(8)))
    assert len(sentences) == 5
    assert sum("陳小明" in sentence for sentence in sentences) == 1


def test_any_text_is_accepted(make, doctor):
    make("陳小明")
    for text in ("", "\x00", "\x00陳小明", "a" * 100_000, "😀"):
        assert bool(found(doctor, text)) is ("陳小明" in text)


def test_the_number_of_queries_does_not_depend_on_the_text(make, doctor, django_assert_num_queries):
    for number in range(3):
        make("陳小明", f"N000{number}")
    with django_assert_num_queries(3):  # names, numbers, teams
        found(doctor, "陳小明 N0001")


def test_the_check_is_registered():
    assert phi.check in personal_data._checks
