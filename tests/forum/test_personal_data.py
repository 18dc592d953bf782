"""Warnings before posting text that looks like patient data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum import personal_data
from tests import board
from xraysite.common.identity_numbers import numbers_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("number", ["A123456789", "a123456789", "F131104093", "A800000014"])
def test_identity_numbers_are_found(number):
    assert numbers_in(f"病人 {number}，三歲") == [number]


@pytest.mark.parametrize(
    "text", ["A123456788", "A323456789", "XA123456789", "A1234567890", "123456789", "AB123", ""]
)
def test_invalid_identity_numbers_are_not_found(text):
    assert numbers_in(text) == []


@given(st.from_regex(r"\A[A-Z][12]\d{8}\Z"))
def test_exactly_one_check_digit_is_valid(number):
    fitting = [digit for digit in "0123456789" if numbers_in(number[:-1] + digit)]
    assert len(fitting) == 1


@pytest.mark.parametrize(
    "text",
    ["病歷號 1234567", "病歷號碼：A-12345", "MRN: 0042371", "chart no. 99887", "Patient ID #4711"],
)
def test_labelled_numbers_are_found(doctor, text):
    assert len(personal_data.warnings(doctor, text)) == 1


@pytest.mark.parametrize("text", ["12345 films", "病歷號不要貼", "the patient identified 2 things"])
def test_other_numbers_are_not_found(doctor, text):
    assert personal_data.warnings(doctor, text) == []


@pytest.fixture
def topic(doctor):
    return board.open_topic(doctor)


def test_warning_before_posting_can_be_confirmed(as_doctor, topic):
    sent = board.form(body="這是 A123456789 的片子")
    page = as_doctor.post(f"/forum/{topic.pk}/reply/", sent).content.decode()
    assert "A123456789” looks like a national identity number" in page
    assert topic.posts.count() == 1
    seal = personal_data.seal(sent["body"])
    assert f'name="confirmed" value="{seal}"' in page
    as_doctor.post(f"/forum/{topic.pk}/reply/", sent | {"confirmed": seal})
    assert topic.posts.count() == 2


def test_confirmation_is_valid_for_one_text(as_doctor, topic):
    seal = personal_data.seal("A123456789")
    sent = board.form(body="A123456789 and F131104093", confirmed=seal)
    as_doctor.post(f"/forum/{topic.pk}/reply/", sent)
    assert topic.posts.count() == 1


def test_titles_and_edits_are_checked_too(as_doctor, topic):
    from forum.models import Topic

    sent = board.form(title="A123456789", category=board.open_category().pk)
    assert "national identity" in as_doctor.post("/forum/new/", sent).content.decode()
    assert Topic.objects.count() == 1
    post = topic.posts.get()
    fields = {"body": "MRN 123456", "title": "t", "version": 1}
    page = as_doctor.post(f"/forum/posts/{post.pk}/edit/", fields).content.decode()
    assert "looks like a patient number" in page
    post.refresh_from_db()
    assert post.version == 1


def test_checks_of_other_apps_are_run(as_doctor, doctor, topic, monkeypatch):
    asked = []

    def check(author, text):
        asked.append((author, text))
        yield "It names somebody."

    monkeypatch.setattr(personal_data, "_checks", [check])
    page = as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body="hello")).content.decode()
    assert "It names somebody." in page
    assert asked == [(doctor, "hello")]
