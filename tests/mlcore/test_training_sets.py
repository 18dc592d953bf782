"""Which films are drawn how often, and films outside the population by source."""

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from scipy import ndimage

from mlcore.engine.serving.preprocess import Preprocessing
from mlcore.engine.training import groups, outlier_films
from tests.films import encode, synthetic_film, write_dataset
from tests.mlcore.commands import run_code

pytestmark = pytest.mark.xdist_group("training")


def test_films_of_two_machines_are_in_two_groups():
    films = np.stack([synthetic_film("NORMAL", seed=seed, size=224) for seed in range(16)])
    # The second machine is less sharp and leaves a white frame.
    films[8:] = ndimage.gaussian_filter(films[8:], (0, 3, 3))
    films[8:, :20] = films[8:, -20:] = films[8:, :, :20] = films[8:, :, -20:] = 255
    found = groups.of(films, count=2, seed=0)
    assert len(set(found[:8])) == len(set(found[8:])) == 1
    assert found[0] != found[8]


def test_labels_are_drawn_equally_often_within_and_over_the_groups():
    labels = np.array([0] * 30 + [1] * 10 + [0] * 10 + [1] * 30)
    group = np.repeat([0, 1], 40)
    drawn = groups.shares(labels, group)
    for number in (0, 1):
        members = group == number
        parts = [drawn[members & (labels == label)].sum() for label in (0, 1)]
        assert parts[0] == pytest.approx(parts[1])
    assert drawn[labels == 0].sum() == pytest.approx(drawn[labels == 1].sum())


def test_a_rare_film_is_not_drawn_without_end():
    labels = np.array([0] * 2 + [1] * 198 + [0] * 200)
    drawn = groups.shares(labels, np.repeat([0, 1], 200))
    assert drawn[0] / drawn[-1] == pytest.approx(groups.MOST / 0.5)


def epoch_of(shares):
    return groups.order(64, shares, np.random.default_rng(0))


def test_films_are_drawn_by_their_shares():
    shares = np.ones(64)
    shares[:8] = 8
    counts = np.bincount(epoch_of(shares), minlength=64)
    assert counts.sum() == 64
    assert set(counts[:8]) <= {4, 5}
    assert counts[8:].max() <= 1
    assert np.array_equal(np.sort(epoch_of(None)), np.arange(64))


def test_a_film_drawn_twice_is_augmented_in_two_ways():
    said = run_code("""
import numpy as np
from mlcore.engine.training.batches import AugmentedBatches, TrainingSet
from mlcore.engine.training.options import Options
film = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
data = TrainingSet.of_whole(np.stack([film, film]), np.array([0, 1]), np.array([1.0, 0.0]))
images, targets, weights = AugmentedBatches(data, Options(image_size=32, batch_size=2))[0]
print(targets.ravel().tolist(), np.array_equal(images[0], images[1]), weights.tolist())
""")
    assert said == "[0.0, 0.0] False [1.0, 1.0]\n"


@pytest.fixture
def sources(tmp_path):
    for number, name in enumerate(("north", "south")):
        (tmp_path / name).mkdir()
        for place in range(10):
            film = synthetic_film("NORMAL", seed=10 * number + place, size=96)
            (tmp_path / name / f"film.{place}.png").write_bytes(encode(film, "png"))
    rows = [f"film.{place},p{place // 2},{4 if place < 2 else 50}" for place in range(10)]
    (tmp_path / "south" / "metadata.csv").write_text("name,patient,age\n" + "\n".join(rows))
    (tmp_path / "north" / "notes.txt").write_text("no film")
    return [tmp_path / "north", tmp_path / "south"]


def test_outliers_are_read_by_source_and_split_by_patient(sources):
    found = outlier_films.read(sources, spec=Preprocessing(), seed=0, is_inside=lambda age: age < 6)
    assert found.names == ("north", "south")
    assert np.bincount(found.source).tolist() == [10, 8], "two films show young children"
    assert found.films.shape == (18, 224, 224)
    assert 0 < found.is_test.sum() < 18
    of_pairs = found.is_test[found.source == 1].reshape(-1, 2)
    assert (of_pairs[:, 0] == of_pairs[:, 1]).all(), "a patient's films stay together"


@pytest.mark.django_db
@pytest.mark.parametrize(("members", "missing"), [(1, "validation, test"), (2, "test")])
def test_a_data_set_with_a_training_folder_alone_is_refused_before_training(
    tmp_path, settings, members, missing
):
    """Otherwise the last of many minutes of training would find nothing to test on."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    write_dataset(tmp_path / "set" / "train", per_class=4, size=96)
    with pytest.raises(CommandError, match=f"no films in: {missing}"):
        call_command("train_model", data=tmp_path / "set", name="x", members=members)


def test_no_outliers():
    found = outlier_films.read([], spec=Preprocessing(), seed=0)
    assert found.films.shape == (0, 224, 224)
    assert not found.is_test.size
