"""The same upload sent twice at once, or again after the server was killed, makes one reading."""

import threading

import pytest
from django.db import connection

from diagnosis.models import Reading
from diagnosis.services import readings
from exchange.api import uploads
from exchange.api.models import UploadKey
from mlcore import registry
from tests.conftest import activated
from tests.exchange.api.conftest import Program, problem
from tests.factories import DoctorFactory
from xraysite.common.decoders import turns

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sender(shipped_bundle) -> Program:
    if registry.active_version() is None:
        activated(shipped_bundle)
    return Program(DoctorFactory())


def at_once(*calls):
    results = [None] * len(calls)

    def run(number: int) -> None:
        try:
            results[number] = calls[number]()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


@pytest.fixture
def meeting(monkeypatch):
    """Make both requests find no reading before either stores one, as in two web processes."""
    monkeypatch.setattr(turns, "take", lambda: None)
    barrier, predict = threading.Barrier(2), readings.inference.predict

    def meeting_predict(*args, **options):
        barrier.wait(timeout=30)
        return predict(*args, **options)

    monkeypatch.setattr(readings.inference, "predict", meeting_predict)


def test_two_at_once_make_one_reading(sender, film_bytes, meeting):
    def send():
        return sender.upload(film_bytes, key="k1")

    first, second = at_once(send, send)
    assert {first.status_code, second.status_code} <= {200, 201}
    assert first.json()["id"] == second.json()["id"]
    assert Reading.objects.count() == 1


def test_two_patients_at_once_under_one_key_make_one_reading(sender, film_bytes):
    responses = at_once(
        lambda: sender.upload(film_bytes, key="k1", patient_name="A"),
        lambda: sender.upload(film_bytes, key="k1", patient_name="B"),
    )
    taken = [each for each in responses if each.status_code == 201]
    refused = [each for each in responses if each.status_code == 409]
    assert (len(taken), len(refused)) == (1, 1)
    assert problem(refused[0]) == "idempotency-key-reused"
    assert Reading.objects.get().patient_name == taken[0].json()["patient"]["name"]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_request_can_be_repeated(sender, film_bytes, monkeypatch, moment):
    """Nothing that a killed process leaves, the reading or its key alone, stops the repetition."""
    submit = uploads.submit_reading

    def killed(**options):
        if moment == "after":
            submit(**options)
        raise Killed

    monkeypatch.setattr(uploads, "submit_reading", killed)
    # A killed process clears nothing up.
    monkeypatch.setattr(uploads, "_release", lambda *_: None)
    with pytest.raises(Killed):
        sender.upload(film_bytes, key="k1")
    assert UploadKey.objects.count() == 1
    monkeypatch.undo()
    response = sender.upload(film_bytes, key="k1")
    assert response.status_code == (200 if moment == "after" else 201)
    assert Reading.objects.count() == 1
    assert sender.upload(film_bytes, key="k1", patient_name="B").status_code == 409
