"""A film survives an upload whose outcome the site never learns."""

import uuid
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connections

from diagnosis import storage
from diagnosis.models import Reading
from diagnosis.services.films import has_film, original_film
from mlcore import registry
from tests.conftest import activated, post_film, signed_in
from tests.diagnosis.test_services import stored_files, submit
from tests.factories import DoctorFactory


@pytest.fixture
def sender(shipped_bundle, transactional_db):
    if registry.active_version() is None:
        activated(shipped_bundle)
    return DoctorFactory()


@pytest.fixture
def lost_answer(monkeypatch):
    """Commit the transaction that stores a reading, then break the connection."""
    commit = type(connections["default"])._commit
    lost = []

    def commit_and_break(self):
        commit(self)
        if not lost and Reading.objects.exists():
            lost.append(True)
            raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(type(connections["default"]), "_commit", commit_and_break)
    return lost


def test_a_committed_reading_is_answered_with_its_film(sender, film_bytes, lost_answer):
    reading = submit(sender, film_bytes)
    assert lost_answer
    assert Reading.objects.get() == reading
    assert original_film(reading) == film_bytes


def test_the_film_stays_even_if_the_database_stays_away(
    sender, film_bytes, lost_answer, monkeypatch
):
    """The reading cannot be looked up either; sending the form again leads to it."""
    submission = uuid.uuid4()
    looked_up = Reading.objects.filter

    def unreachable(*args, **kwargs):
        if lost_answer:
            raise OperationalError("could not connect to server")
        return looked_up(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Reading.objects, "filter", unreachable)
        with pytest.raises(OperationalError):
            submit(sender, film_bytes, submission=submission)
    reading = Reading.objects.get()
    assert original_film(reading) == film_bytes
    assert submit(sender, film_bytes, submission=submission) == reading


def test_a_film_whose_row_was_refused_is_left_to_sweep_films(sender, film_bytes, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("out of memory")

    monkeypatch.setattr(Reading, "save", fail)
    with pytest.raises(OSError, match="out of memory"):
        submit(sender, film_bytes)
    assert not Reading.objects.exists()
    assert len(stored_files()) == 3


def test_sending_the_form_again_stores_a_lost_film_again(sender, film_bytes):
    submission = uuid.uuid4()
    reading = submit(sender, film_bytes, submission=submission)
    Path(storages["films"].path(storage.original_name(reading.film_sha256))).unlink()
    assert not has_film(reading)
    answer = post_film(signed_in(sender), film_bytes, submission=str(submission))
    assert answer.headers["Location"] == reading.get_absolute_url()
    assert has_film(reading)
