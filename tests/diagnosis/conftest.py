"""Fixtures for readings: the board, and the film storages."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from diagnosis import board as boards
from tests import film_stores
from tests.fake_board import FakeBoard
from tests.film_stores import BucketStore, DiskStore
from xraysite.common import env


@pytest.fixture(scope="session")
def object_store() -> Iterator[tuple[str, Any]]:
    with film_stores.server() as found:
        yield found


@pytest.fixture
def bucket(
    object_store: tuple[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BucketStore]:
    """Let films and images be in a bucket."""
    url, objects = object_store
    for name, value in film_stores.environment(url).items():
        monkeypatch.setenv(name, value)
    settings.STORAGES = settings.STORAGES | env.bucket_storages()
    yield BucketStore(objects)
    objects.clear()


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest) -> DiskStore | BucketStore:
    """The film storage of the test, which runs with each."""
    return DiskStore() if request.param == "disk" else request.getfixturevalue("bucket")


@pytest.fixture
def board(monkeypatch) -> FakeBoard:
    """An in-memory discussion board instead of the site's own."""
    board = FakeBoard()
    monkeypatch.setattr(boards, "_boards", [board])
    return board
