"""The synthetic films, which other tests rely on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcore.engine.films.film import read_film
from tests.film_chest import Chest, Patient
from tests.films import draw_film, write_dataset

SEEDS = range(6)


@pytest.mark.parametrize("kind", ["NORMAL", "PNEUMONIA"])
@pytest.mark.parametrize("size", [64, 224])
def test_a_film_is_a_square_of_bytes_that_uses_the_grey_scale(kind, size):
    film = draw_film(kind, seed=3, size=size)
    assert film.shape == (size, size)
    assert film.dtype == np.uint8
    assert film.min() < 40
    assert film.max() > 170
    assert film.std() > 30


def test_same_seed_draws_the_same_film_and_another_seed_another():
    assert np.array_equal(draw_film("NORMAL", seed=1), draw_film("NORMAL", seed=1))
    assert not np.array_equal(draw_film("NORMAL", seed=1), draw_film("NORMAL", seed=2))


@pytest.mark.parametrize("kind", ["NORMAL", "PNEUMONIA"])
def test_a_seed_draws_the_same_chest_at_every_size(kind):
    small = draw_film(kind, seed=4, size=128)
    large = draw_film(kind, seed=4, size=512)
    reduced = np.asarray(Image.fromarray(large).resize((128, 128), Image.Resampling.BOX))
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_normal_lungs_are_darker_than_heart_and_abdomen(seed):
    film = draw_film("NORMAL", seed=seed, size=128)
    chest = Chest(Patient.draw(seed), 128)
    clear = film[chest.air > 0.7].mean()
    assert clear + 50 < film[(chest.heart > 0.9) & (chest.lungs > 0.5)].mean()
    assert clear + 50 < film[120:, 50:78].mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_pneumonia_whitens_the_lungs_and_leaves_the_rest(seed):
    normal = draw_film("NORMAL", seed=seed, size=128).astype(int)
    pneumonia = draw_film("PNEUMONIA", seed=seed, size=128).astype(int)
    chest = Chest(Patient.draw(seed), 128)
    gain = pneumonia - normal
    assert gain[chest.air > 0.5].mean() > 6
    assert np.percentile(gain[chest.air > 0.5], 95) > 20
    assert abs(gain[chest.lungs < 0.01].mean()) < 1


def test_some_films_carry_a_marker_and_some_do_not():
    assert {Patient.draw(seed).marker for seed in range(20)} == {True, False}


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'FLU'"):
        draw_film("FLU", seed=1)


def test_write_dataset_names_films_as_the_public_set_does(tmp_path: Path):
    root = write_dataset(tmp_path / "set", per_class=8, patients=5, size=64)
    normal = sorted(path.name for path in (root / "NORMAL").iterdir())
    pneumonia = sorted(path.name for path in (root / "PNEUMONIA").iterdir())
    assert len(normal) == len(pneumonia) == 8
    assert all(re.fullmatch(r"(NORMAL2-)?IM-\d{4}-\d{4}\.jpeg", name) for name in normal)
    assert all(re.fullmatch(r"person\d+_(bacteria|virus)_\d+\.jpeg", name) for name in pneumonia)
    assert any(name.startswith("NORMAL2-") for name in normal)
    assert len({name.rsplit("-", 1)[0] for name in normal}) == 5
    assert len({name.split("_")[0] for name in pneumonia}) == 5
    # A patient has one aetiology.
    assert len({name.rsplit("_", 1)[0] for name in pneumonia}) == 5


def test_write_dataset_writes_distinct_readable_films(tmp_path: Path):
    roots = [
        write_dataset(tmp_path / str(seed), per_class=3, seed=seed, size=64) for seed in (0, 1)
    ]
    films = [read_film(path.read_bytes()) for root in roots for path in root.rglob("*.jpeg")]
    assert {film.format for film in films} == {"JPEG"}
    assert len({film.sha256 for film in films}) == 12
