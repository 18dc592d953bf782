"""Training films of a model that reads the lungs only: their versions and their augmentation."""

from dataclasses import fields, replace

import numpy as np
import pytest

from mlcore.engine.serving import lung_box
from mlcore.engine.serving.preprocess import LUNG_BOX, Preprocessing
from mlcore.engine.training.augment import Augmentation
from mlcore.engine.training.sources import LungFilms, Version
from tests.mlcore.test_lungs import drawn, found

SPEC = Preprocessing(id=LUNG_BOX, grow=0.05)
NOTHING = Augmentation(**{field.name: 0.0 for field in fields(Augmentation)})


@pytest.fixture
def films():
    """One film, its corrupted version, and other lungs drawn on it."""
    film, both = drawn()
    other = found((30, 60, 100, 170), (124, 60, 194, 170))
    dark = film // 2

    def version(pixels, lungs):
        return Version(pixels[np.newaxis], [lungs])

    return LungFilms(
        version(film, both), 112, SPEC, corrupted=version(dark, both), drawn=version(film, other)
    )


def read(films, seed=0, **strengths):
    rng = np.random.default_rng(seed)
    return films.augmented(0, rng, replace(NOTHING, **strengths)).astype(int)


def test_films_are_prepared_as_in_serving(films):
    film, both = drawn()
    expected = lung_box.prepare(film, both, size=112, spec=SPEC)
    assert np.array_equal(films.prepared()[0], expected)
    # The transform's rounding may move a grey level.
    assert np.abs(read(films) - expected).max() <= 1


def test_each_version_is_used_as_often_as_stated(films):
    only = {
        "corrupted": read(replace(films, plain=films.corrupted)),
        "drawn": read(replace(films, plain=films.drawn)),
    }
    for name, expected in only.items():
        assert np.array_equal(read(films, **{name: 1.0}), expected)
        assert not np.array_equal(expected, read(films))
    mixed = [read(films, seed, corrupted=0.5, drawn=0.25) for seed in range(60)]
    counts = [sum(np.array_equal(one, each) for one in mixed) for each in only.values()]
    assert 20 <= counts[0] <= 40
    assert 6 <= counts[1] <= 24


@pytest.mark.parametrize("name", ["mask_grow", "box_margin"])
def test_outline_and_margins_vary(films, name):
    assert len({read(films, seed, **{name: 0.02}).tobytes() for seed in range(8)}) >= 4


def test_versions_are_chosen_together(films):
    nobody = films.only(np.array([False]))
    assert [len(version.films) for version in (nobody.plain, nobody.corrupted, nobody.drawn)] == [
        0, 0, 0,
    ]  # fmt: skip
    assert films.sha256() != replace(films, drawn=films.plain).sha256()
