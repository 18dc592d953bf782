"""What an upload costs everybody else: transactions, time in them, memory."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.core.files.storage import storages
from django.db import connection

from accounts.models import User
from diagnosis import storage
from diagnosis.models import Reading
from mlcore import registry
from mlcore.engine.serving import resemblance
from mlcore.engine.serving.preprocess import Preprocessing, squash
from tests.conftest import activated, post_film, signed_in
from tests.factories import DoctorFactory
from tests.films import encode, synthetic_film
from xraysite.common.decoders import pool

PNG = encode(synthetic_film("NORMAL", seed=8, size=128), "png")


@pytest.fixture
def sender(shipped_bundle) -> Iterator[User]:
    """A doctor of a site with an active model, in committed transactions."""
    if registry.active_version() is None:
        activated(shipped_bundle)
    return DoctorFactory()


@pytest.mark.django_db(transaction=True)
def test_an_upload_takes_two_transactions_and_syncs_its_film_outside(sender, settings, monkeypatch):
    """On SQLite all others wait for a transaction, on PostgreSQL each one is synced to disk."""
    browser = signed_in(sender)
    settings.ACCOUNT_LIMITS = {"upload": ["200/h"]}
    commits: list[str] = []
    synced: list[bool] = []
    commit, fsync = connection.commit, os.fsync

    def counted() -> None:
        commits.append("commit")
        commit()

    def noted(descriptor: int) -> None:
        synced.append(connection.in_atomic_block)
        fsync(descriptor)

    monkeypatch.setattr(connection, "commit", counted)
    monkeypatch.setattr("xraysite.common.atomic_write.os.fsync", noted)
    assert post_film(browser, PNG).status_code == 302
    # Counting the upload, and the reading with its audit row.
    assert len(commits) == 2
    assert synced[:3] == [False] * 3


@pytest.mark.django_db
def test_files_that_get_no_name_are_removed():
    root = Path(storages["films"].base_location)
    with storage.staged({"original/aa/one": b"1"}):
        assert [path.read_bytes() for path in root.rglob(".part-*")] == [b"1"]
    assert [path for path in root.rglob("*") if path.is_file()] == []
    with storage.staged({"original/aa/one": b"1", "original/bb/two": b"2"}) as place:
        place()
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == ["one", "two"]


@pytest.mark.django_db
def test_a_conflict_found_while_storing_leaves_no_file(as_doctor, active_model, monkeypatch):
    """The same X-ray was stored by another tab after this one had looked for it."""
    assert post_film(as_doctor, PNG).status_code == 302
    root = Path(storages["films"].base_location)
    before = sorted(root.rglob("*"))
    monkeypatch.setattr("diagnosis.services.readings.same_film", lambda *args, **options: ())
    asked = post_film(as_doctor, PNG)
    assert "/check/" in asked.headers["Location"]
    assert Reading.objects.count() == 1
    left = [path for path in sorted(root.rglob("*")) if path not in before and path.is_file()]
    assert [path.parent.parent.name for path in left] == ["pending"]


def faults(pid: int) -> int:
    """Return how often the system has given a process a page of memory."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_decoder_reuses_its_memory_for_films_of_usual_size():
    film = encode(synthetic_film("NORMAL", seed=0, size=1400), "jpeg")
    own = pool.Pool(1)
    arguments = {"max_bytes": 2**26, "max_pixels": 10**8}
    try:
        for _ in range(3):
            own.run("mlcore.decoding_task:decode", arguments, film)
        (decoder,) = own._idle
        before = faults(decoder.process.pid)
        for _ in range(5):
            own.run("mlcore.decoding_task:decode", arguments, film)
        # Each film alone takes 480 pages.
        assert faults(decoder.process.pid) - before < 5 * 100
    finally:
        own.close()


def test_a_decoder_loads_neither_django_nor_what_downloads():
    """Each decoder would take 28 MB more."""
    own = pool.Pool(1)
    try:
        reply, _ = own.run("tests.mlcore.greedy_tasks:loaded", {}, b"")
    finally:
        own.close()
    found = set(reply["packages"])
    assert {"pydicom", "PIL", "mlcore"} <= found
    assert found.isdisjoint({"django", "requests", "urllib3", "sqlparse"})


def test_quantiles_are_those_of_numpy():
    rng = np.random.default_rng(0)
    for sides in ((1, 1), (1, 2), (7, 5), (40, 30)):
        pixels = rng.integers(0, 256, sides, np.uint8)
        expected = [float(np.quantile(pixels, share)) for share in (0.9, 0.1, 0.5)]
        assert resemblance.quantiles(pixels, 0.9, 0.1, 0.5) == pytest.approx(expected, abs=1e-9)


def test_a_squashed_film_resembles_what_the_film_does():
    for seed in range(5):
        film = synthetic_film("NORMAL", seed=seed, size=300)
        shipped, small = resemblance.shipped(), squash(film, Preprocessing())
        assert np.array_equal(resemblance.features(small), resemblance.features(film))
        assert shipped.cause(film, small) == shipped.cause(film)
        # Of another size, it cannot stand for the film.
        assert shipped.cause(film, small[:100, :100]) == shipped.cause(film)
