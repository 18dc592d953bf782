"""Reasons that tasks and checks state in English, shown in the reader's language."""

import pytest
from django.utils import translation

from xraysite.common import sentences


@pytest.fixture
def chinese(monkeypatch):
    """Mark what is translated, whatever the catalogue of the day contains."""
    monkeypatch.setattr(sentences, "gettext", lambda text: f"<{text}>")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "The mail server cannot be used: TimeoutError: 5 s It was tried 8 times.",
            "<<The mail server cannot be used: TimeoutError: 5 s> It was tried 8 times.>",
        ),
        (
            "The worker died while it sent the email. It may have arrived, so it is not sent again "
            "by itself.",
            "<<The worker died while it sent the email.> It may have arrived, so it is not sent "
            "again by itself.>",
        ),
        (
            "/films: 12,000 bytes are free, less than 1,000,000.",
            "</films: 12,000 bytes are free, less than 1,000,000.>",
        ),
        (
            "It is 2026-11-28 01:00:00 UTC, before 2026-11-29 00:00:00+00:00 UTC.",
            "<It is 2026-11-28 01:00:00 UTC, before 2026-11-29 00:00:00+00:00 UTC.>",
        ),
    ],
)
def test_a_known_sentence_is_translated_with_its_values(chinese, said, shown):
    assert sentences.translated(said) == shown


@pytest.mark.parametrize("said", ["", "database disk image is malformed", "100% of it"])
def test_what_another_program_said_stays(chinese, said):
    assert sentences.translated(said) == said


def test_in_english_nothing_changes():
    said = "A task has been waiting for 31 minutes. Workers alive: 0."
    with translation.override("en"):
        assert sentences.translated(said) == said
