"""Finding lungs, and reading only what is inside them."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mlcore.engine.data import masks
from mlcore.engine.data.dataset import FilmRecord
from mlcore.engine.data.folders import DatasetError
from mlcore.engine.evaluation.lung_masks import agreement
from mlcore.engine.serving import lung_box, lungs
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.lungs import SIDE
from mlcore.engine.serving.pipeline import Pipeline
from mlcore.engine.serving.preprocess import LUNG_BOX, Preprocessing
from tests.films import synthetic_film, synthetic_lungs

SPEC = Preprocessing(id=LUNG_BOX)


def cells(mask):
    """Return a mask as the network that finds lungs would."""
    return np.asarray(Image.fromarray(mask).resize((56, 56), Image.Resampling.BOX)) / 255


def drawn(*, seed=1, kind="NORMAL"):
    film = synthetic_film(kind, seed=seed, size=SIDE)
    return film, lungs.find(cells(synthetic_lungs(seed=seed, size=SIDE)), film)


def rectangles(*boxes):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    return mask


def found(*boxes, film=None):
    film = np.full((SIDE, SIDE), 90, np.uint8) if film is None else film
    return lungs.find(cells(rectangles(*boxes)), film)


LEFT, RIGHT = (30, 40, 100, 190), (124, 40, 194, 190)


def test_lungs_of_a_film_are_found():
    _, both = drawn()
    assert both.findings == ()
    assert both.are_readable
    mask = synthetic_lungs(seed=1, size=SIDE)
    assert agreement([both], mask[np.newaxis])["dice"] > 0.97


def test_only_the_two_largest_regions_count():
    mask = rectangles(LEFT, RIGHT, (4, 4, 20, 20))
    both = lungs.find(cells(mask), np.full((SIDE, SIDE), 90, np.uint8))
    assert both.box == pytest.approx((30, 40, 194, 190), abs=2)
    assert not both.mask[:24, :24].any()


@pytest.mark.parametrize(
    ("boxes", "finding"),
    [
        ([], "no_lungs"),
        ([(100, 100, 120, 120)], "no_lungs"),
        ([LEFT], "one_lung"),
        ([LEFT, (150, 100, 170, 120)], "one_lung"),
        ([(0, 40, 100, 190), RIGHT], "cut_off"),
        ([(30, 40, 100, SIDE), (124, 40, 194, SIDE)], "cut_off"),
        ([(70, 80, 105, 180), (115, 80, 150, 180)], "too_small"),
        ([(30, 20, 100, 160), (124, 60, 194, 200)], "tilted"),
    ],
)
def test_outline_of_the_lungs_tells_what_is_wrong_with_a_film(boxes, finding):
    assert finding in found(*boxes).findings


@pytest.mark.parametrize(("level", "finding"), [(0, "overexposed"), (255, "underexposed")])
def test_clipped_exposure_is_found(level, finding):
    film = np.full((SIDE, SIDE), 90, np.uint8)
    film[40:120, 30:100] = level
    assert found(LEFT, RIGHT, film=film).findings == (finding,)


def test_films_without_lungs_are_not_readable():
    assert not found().are_readable
    assert not found(LEFT).are_readable
    assert found(LEFT, RIGHT).are_readable


def test_weights_are_exactly_zero_beyond_the_distance():
    both = found(LEFT, RIGHT)
    weight = lungs.weights(both, grow=0.05)
    inside = both.mask > 0
    reach = ndimage.binary_dilation(inside, np.ones((3, 3)), iterations=round(0.05 * SIDE))
    assert (weight[inside] > 120).all()
    assert not weight[~reach].any()
    assert weight[ndimage.binary_erosion(inside, iterations=3)].min() == 255


def test_box_normalises_position_size_and_both_axes():
    film, both = drawn()
    wide = np.asarray(Image.fromarray(film).crop((0, 0, SIDE, 212)).resize((SIDE, SIDE)))
    mask = synthetic_lungs(seed=1, size=SIDE)
    wide_mask = np.asarray(Image.fromarray(mask).crop((0, 0, SIDE, 212)).resize((SIDE, SIDE)))
    other = lungs.find(cells(wide_mask), wide)
    assert other.box != pytest.approx(both.box, abs=4)
    first, second = (
        lung_box.prepare(film_, found_, size=112, spec=SPEC).astype(float)
        for film_, found_ in ((film, both), (wide, other))
    )
    assert np.abs(first - second).mean() < 8


@pytest.mark.parametrize("kind", ["NORMAL", "PNEUMONIA"])
def test_nothing_outside_the_lungs_reaches_the_network(kind):
    film, both = drawn(kind=kind)
    expected = lung_box.prepare(film, both, size=112, spec=SPEC)
    outside = lungs.weights(both, grow=SPEC.grow) == 0
    rng = np.random.default_rng(0)
    for content in (np.zeros_like(film), 255 - film, rng.integers(0, 256, film.shape, np.uint8)):
        changed = np.where(outside, content, film)
        assert np.array_equal(lung_box.prepare(changed, both, size=112, spec=SPEC), expected)
    inside = np.where(both.mask > 0, 255 - film, film)
    assert not np.array_equal(lung_box.prepare(inside, both, size=112, spec=SPEC), expected)


def test_film_without_lungs_becomes_one_grey_level():
    film = synthetic_film("NORMAL", seed=1, size=SIDE)
    nothing = lungs.find(np.zeros((56, 56)), film)
    assert np.unique(lung_box.prepare(film, nothing, size=112, spec=SPEC)).tolist() == [128]


def test_map_lies_on_the_film_where_the_box_was_and_only_in_the_lungs():
    _, both = drawn()
    cold = np.zeros((14, 14), np.float32)
    cold[3:6, 2:4] = 1  # the upper part of the lung on the left of the film
    shown = lung_box.on_film(cold, both, spec=SPEC, cells=56)
    assert shown.shape == (56, 56)
    row, column = (np.indices(shown.shape) * shown).sum(axis=(1, 2)) / shown.sum()
    left, top, right, bottom = lungs.expand(both.box, SPEC.margin)
    expected = (top + 4.5 / 14 * (bottom - top)) / 4, (left + 3 / 14 * (right - left)) / 4
    assert (row, column) == pytest.approx(expected, abs=2)
    everywhere = lung_box.on_film(np.ones((14, 14), np.float32), both, spec=SPEC, cells=56)
    weight = lungs.weights(both, grow=SPEC.grow).reshape(56, 4, 56, 4).max(axis=(1, 3))
    assert not everywhere[weight == 0].any()
    assert everywhere.max() == pytest.approx(1, abs=1e-3)


class Finder:
    """Finds the lungs of one synthetic film, whatever the film."""

    input_shape = (1, 112, 112, 1)

    def __init__(self, score: float) -> None:
        self.score = score

    def run(self, film):
        share = cells(synthetic_lungs(seed=1, size=SIDE)).astype(np.float32)
        return {"lungs": share[None, :, :, None], "scope_score": np.array([[self.score]])}


class Mean:
    """Reads the mean of the box."""

    input_shape = (1, 112, 112, 1)

    def run(self, film):
        return {
            "probability": np.array([[film.mean()]], np.float32),
            "activation_map": np.full((1, 14, 14, 1), film.mean(), np.float32),
            "scope_score": np.array([[0.4]], np.float32),
        }


def pipeline(*, score=0.2):
    reference = Reference(np.zeros((14, 14)), np.full((14, 14), 0.05))
    return Pipeline(SPEC, reference, Mean(), Finder(score))


def test_probability_ignores_every_pixel_outside_the_lungs():
    film, both = drawn()
    line = pipeline()
    expected = line.run(film)
    changed = film.copy()
    changed[lungs.weights(both, grow=SPEC.grow) == 0] = 255
    assert line.run(changed).probability == expected.probability
    assert expected.lungs is not None
    assert line.heatmap(expected).shape == (56, 56)


@pytest.mark.parametrize(("score", "expected"), [(0.2, 0.4), (3.0, 3.0)])
def test_film_and_inside_of_the_lungs_must_both_be_in_scope(score, expected):
    film = synthetic_film("NORMAL", seed=1, size=512)
    assert pipeline(score=score).run(film).scope_score == pytest.approx(expected)


def record(name, label="NORMAL"):
    return FilmRecord(f"train/{label}/{name}.jpeg", label, name, "", "", "", "", "")


def test_masks_are_read_by_label_and_name(tmp_path):
    (tmp_path / "NORMAL").mkdir()
    Image.fromarray(rectangles(LEFT)).save(tmp_path / "NORMAL" / "a.png")
    read = masks.read(tmp_path, [record("a"), record("b")], side=SIDE)
    assert masks.have_lungs(read).tolist() == [True, False]
    assert (read[1] == masks.UNKNOWN).all()
    assert np.array_equal(read[0], rectangles(LEFT))


def test_missing_and_damaged_masks_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"no mask of any film.*a\.png"):
        masks.read(tmp_path, [record("a")], side=SIDE)
    (tmp_path / "NORMAL").mkdir()
    (tmp_path / "NORMAL" / "a.png").write_bytes(b"no PNG")
    with pytest.raises(DatasetError, match="cannot be read"):
        masks.read(tmp_path, [record("a")], side=SIDE)


def test_agreement_with_masks():
    exact, shifted = found(LEFT, RIGHT), found(LEFT, (124, 90, 194, 190))
    mask = np.stack([rectangles(LEFT, RIGHT)] * 2 + [np.full((SIDE, SIDE), 127, np.uint8)])
    figures = agreement([exact, shifted, exact], mask)
    assert figures["n"] == 2, "a film whose mask is unknown does not count"
    assert figures["dice_worst"] < 0.95 < figures["dice"]
    assert figures["edges_within"] == 1
