"""Stored films and renderings are checked when they are served, and repaired."""

import shutil
from pathlib import Path

import pytest
from django.core.files.storage import storages

from diagnosis import sealed_jpeg, storage
from diagnosis.services.films import (
    THUMBNAIL_SIDE,
    VIEWER_SIDE,
    film_rendering,
    has_film,
    original_film,
)
from tests.conftest import post_film
from tests.diagnosis.test_services import submit
from tests.films import encode, synthetic_film

pytestmark = pytest.mark.django_db
SIZES = {"film": VIEWER_SIDE, "film?size=thumb": THUMBNAIL_SIDE}


@pytest.fixture
def reading(active_model, doctor, film_bytes):
    return submit(doctor, film_bytes)


@pytest.fixture
def another(active_model, doctor):
    return submit(doctor, encode(synthetic_film("PNEUMONIA", seed=8, size=500), "png"))


def rendering_path(reading, side: int = VIEWER_SIDE) -> Path:
    return Path(storages["films"].path(storage.rendering_name(reading.film_sha256, side)))


def original_path(reading) -> Path:
    return Path(storages["films"].path(storage.original_name(reading.film_sha256)))


def served(browser, reading, size: str = "") -> bytes:
    response = browser.get(f"/readings/{reading.pk}/film/{size}")
    assert response.status_code == 200
    return response.content


def test_a_served_rendering_has_no_seal(reading, as_doctor):
    stored = rendering_path(reading).read_bytes()
    assert reading.film_sha256.encode() in stored
    shown = served(as_doctor, reading)
    assert reading.film_sha256.encode() not in shown
    assert sealed_jpeg.seal(shown, source=reading.film_sha256, side=VIEWER_SIDE) == stored


def half(path: Path, another: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bit(path: Path, another: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path, another: Path) -> None:
    path.write_bytes(b"")


def another_patients(path: Path, another: Path) -> None:
    shutil.copy(another, path)


def a_folder(path: Path, another: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [half, bit, empty, another_patients])
@pytest.mark.parametrize("size", ["", "?size=thumb"])
def test_a_bad_rendering_is_made_again_and_reported(
    reading, another, as_doctor, damage, size, caplog
):
    side = THUMBNAIL_SIDE if size else VIEWER_SIDE
    good, path = served(as_doctor, reading, size), rendering_path(reading, side)
    stored = path.read_bytes()
    damage(path, rendering_path(another, side))
    caplog.clear()
    assert served(as_doctor, reading, size) == good
    assert path.read_bytes() == stored
    assert f"{path.name} is not used and is made again" in caplog.text
    caplog.clear()
    assert served(as_doctor, reading, size) == good
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_the_same_size_of_another_side_is_not_mistaken(reading):
    shutil.copy(rendering_path(reading, THUMBNAIL_SIDE), rendering_path(reading))
    assert film_rendering(reading, max_side=VIEWER_SIDE) != film_rendering(
        reading, max_side=THUMBNAIL_SIDE
    )


def test_a_rendering_of_an_earlier_version_is_made_again(reading, another, monkeypatch):
    good = film_rendering(reading, max_side=VIEWER_SIDE)
    for old in (good, film_rendering(another, max_side=VIEWER_SIDE)):
        rendering_path(reading).write_bytes(old)  # without a seal
        assert film_rendering(reading, max_side=VIEWER_SIDE) == good
        assert rendering_path(reading).read_bytes() != old
    monkeypatch.setattr(sealed_jpeg, "RENDERER", sealed_jpeg.RENDERER + 1)
    before = rendering_path(reading).read_bytes()
    assert film_rendering(reading, max_side=VIEWER_SIDE) == good
    assert rendering_path(reading).read_bytes() != before


def test_an_unreadable_rendering_is_served_from_the_film(reading, as_doctor, caplog):
    good = served(as_doctor, reading)
    a_folder(rendering_path(reading), rendering_path(reading))
    assert served(as_doctor, reading) == good
    assert "are not stored" in caplog.text


@pytest.mark.parametrize("damage", [half, bit, empty])
def test_a_damaged_film_is_replaced_by_a_new_upload(
    reading, as_other_doctor, film_bytes, damage, caplog
):
    damage(original_path(reading), original_path(reading))
    assert not has_film(reading)
    assert "missing or altered" in caplog.text
    post_film(as_other_doctor, film_bytes)
    assert original_film(reading) == film_bytes


def test_a_damaged_film_is_never_shown(reading, as_doctor):
    half(original_path(reading), original_path(reading))
    for side in (VIEWER_SIDE, THUMBNAIL_SIDE):
        rendering_path(reading, side).unlink()
    for size in ("", "?size=thumb", "?size=original"):
        assert as_doctor.get(f"/readings/{reading.pk}/film/{size}").status_code == 503
