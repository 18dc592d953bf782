"""A form that is sent twice at the same moment creates one reading or topic, and no error."""

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.audit.verify import verify_log
from accounts.models import User
from diagnosis.models import Reading
from diagnosis.services import films, readings
from forum import services
from forum.models import Category, Post, Topic
from mlcore import registry
from tests import board
from tests.conftest import activated, patient_details, signed_in, upload_of
from tests.factories import DoctorFactory
from tests.films import encode, synthetic_film
from xraysite.common.decoders import turns

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 10


@pytest.fixture
def sender(shipped_bundle) -> Iterator[User]:
    """A doctor of a site with an active model, in committed transactions."""
    if registry.active_version() is None:
        activated(shipped_bundle)
    return DoctorFactory()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads that start together and return their results in order."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        barrier.wait(timeout=30)
        try:
            results[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001 - returned to the test, which raises it
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def browsers(user: User, number: int = 2) -> list[Client]:
    clients = [signed_in(user) for _ in range(number)]
    for client in clients:
        client.raise_request_exception = False
    return clients


@pytest.fixture
def meeting(monkeypatch) -> threading.Barrier:
    """Make both requests find no reading before either stores one, as in two web processes.

    Within one process, the files of an account take turns.
    """
    monkeypatch.setattr(turns, "take", lambda: None)
    barrier = threading.Barrier(2)
    predict = readings.inference.predict

    def together(*args: Any, **kwargs: Any) -> Any:
        prediction = predict(*args, **kwargs)
        barrier.wait(timeout=60)
        return prediction

    monkeypatch.setattr(readings.inference, "predict", together)
    return barrier


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_reading_sent_twice_at_once_is_stored_once(round_, sender, meeting):
    film = encode(synthetic_film("NORMAL", seed=round_, size=200), "png")
    submission = str(uuid.uuid4())
    fields = patient_details(submission=submission)
    answers = at_once(
        *[
            lambda client=client: client.post(
                reverse("readings:new"), fields | {"film": upload_of(film)}
            )
            for client in browsers(sender)
        ]
    )
    assert [answer.status_code for answer in answers] == [302, 302]
    reading = Reading.objects.get()
    assert {answer.headers["Location"] for answer in answers} == {reading.get_absolute_url()}
    assert films.original_film(reading) == film
    assert list(verify_log()) == []


def test_two_films_under_one_submission_are_not_mistaken(sender, meeting):
    """The second gets the form again instead of another film's reading."""
    submission = str(uuid.uuid4())
    uploads = [encode(synthetic_film("NORMAL", seed=seed, size=200), "png") for seed in (1, 2)]
    answers = at_once(
        *[
            lambda client=client, film=film: client.post(
                reverse("readings:new"),
                patient_details(submission=submission) | {"film": upload_of(film)},
            )
            for client, film in zip(browsers(sender), uploads, strict=True)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 302]
    assert Reading.objects.count() == 1


def test_the_same_film_for_two_patients_at_once_is_asked_about(sender, meeting):
    film = encode(synthetic_film("NORMAL", seed=3, size=200), "png")
    answers = at_once(
        *[
            lambda client=client, name=name: client.post(
                reverse("readings:new"),
                patient_details(submission=str(uuid.uuid4()), patient_name=name)
                | {"film": upload_of(film)},
            )
            for client, name in zip(browsers(sender), ("陳小明", "林小美"), strict=True)
        ]
    )
    assert sorted("check" in answer.headers["Location"] for answer in answers) == [False, True]
    assert Reading.objects.count() == 1


@pytest.fixture
def meeting_on_board(monkeypatch) -> threading.Barrier:
    """Make both requests look for an earlier post before either stores one, where they can."""
    barrier = threading.Barrier(2)
    earlier = services._earlier
    waited = threading.local()

    def together(*args: Any, **kwargs: Any) -> Any:
        found = earlier(*args, **kwargs)
        if not getattr(waited, "done", False):
            waited.done = True
            try:
                barrier.wait(timeout=1)
            except threading.BrokenBarrierError:
                # On SQLite the other request waits for this one's transaction.
                return found
        return found

    monkeypatch.setattr(services, "_earlier", together)
    return barrier


@pytest.mark.parametrize("same_category", [True, False])
def test_a_topic_sent_twice_at_once_is_posted_once(same_category, sender, meeting_on_board):
    first = Category.objects.open_to(sender).first()
    second = first if same_category else Category.objects.create(name_zh_hant="乙", name_en="B")
    submission = str(uuid.uuid4())
    answers = at_once(
        *[
            lambda client=client, category=category: client.post(
                reverse("forum:new"),
                board.form(title="t", category=category.pk, submission=submission),
            )
            for client, category in zip(browsers(sender), (first, second), strict=True)
        ]
    )
    assert [answer.status_code for answer in answers] == [302, 302]
    topic = Topic.objects.get()
    assert {answer.headers["Location"] for answer in answers} == {topic.get_absolute_url()}
    assert Post.objects.count() == 1


@pytest.mark.parametrize("same_topic", [True, False])
def test_a_reply_sent_twice_at_once_is_posted_once(same_topic, sender, meeting_on_board):
    one = board.open_topic(sender)
    other = one if same_topic else board.open_topic(sender)
    submission = str(uuid.uuid4())
    answers = at_once(
        *[
            lambda client=client, topic=topic: client.post(
                reverse("forum:reply", args=[topic.pk]), board.form(submission=submission)
            )
            for client, topic in zip(browsers(sender), (one, other), strict=True)
        ]
    )
    expected = [302, 302] if same_topic else [200, 302]
    assert sorted(answer.status_code for answer in answers) == expected
    assert Post.objects.filter(submission=submission).count() == 1
