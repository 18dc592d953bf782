"""Training of a model that finds the lungs first and reads nothing else, on synthetic films."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlcore import registry
from mlcore.engine.films.film import read_film
from mlcore.engine.serving import bundle, golden, lungs
from mlcore.engine.serving.pipeline import Pipeline
from tests import migrated
from tests.films import synthetic_film, write_dataset
from tests.mlcore.commands import DRAWN, manage

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lung-training")]

NAME = "lungs"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A site on which the command trained a model on films with masks, without an interruption."""
    root = tmp_path_factory.mktemp("site") / "var"
    migrated.copy_to(root)
    write_dataset(root / "films", per_class=40, size=112, masks=root / "masks")
    write_dataset(root / "elsewhere", per_class=12, seed=9, size=112)
    for number, source in enumerate(("one", "two")):
        (root / source).mkdir()
        for film in write_dataset(root / "raw" / source, per_class=6, seed=20 + number,
                                  size=112).rglob("*.jpeg"):  # fmt: skip
            film.rename(root / source / film.name)
    (root / "population.json").write_text(json.dumps(DRAWN))
    run = manage(
        "train_model", "--data", root / "films", "--lungs", root / "masks", "--name", NAME,
        "--epochs", 6, "--lung-epochs", 40, "--members", 2, "--image-size", 64, "--groups", 2,
        "--external", root / "elsewhere", "--outliers", root / "one", root / "two",
        "--population", root / "population.json", var=root,
    )  # fmt: skip
    (root / "said").write_text(run.stdout)
    return root


@pytest.fixture(scope="module")
def trained(site) -> bundle.Bundle:
    return bundle.read(site / "b" / NAME)


def test_bundle_has_both_networks_and_golden_outputs(trained):
    assert set(trained.networks) == {"model.tflite", "lungs.tflite"}
    assert {"model.keras", "lungs.keras"} <= set(trained.card["files"])
    assert bundle.missing_for_service(trained.card) == []
    assert golden.check(trained.folder, Pipeline.of(trained).run) < golden.TOLERANCE
    assert registry.load(trained.folder).card["preprocessing"]["id"] == "lung-box-local-contrast-1"


def test_lungs_are_found_on_a_new_film(trained):
    output = Pipeline.of(trained).run(synthetic_film("NORMAL", seed=77, size=300))
    assert output.lungs is not None
    assert output.lungs.are_readable
    counts = trained.card["data"]["counts"]
    films = sum(sum(counts[split].values()) for split in ("train", "validation"))
    assert trained.card["lungs"]["out_of_fold"]["n"] == films


def test_nothing_outside_the_lungs_changes_the_probability(trained):
    line = Pipeline.of(trained)
    film = synthetic_film("PNEUMONIA", seed=78, size=lungs.SIDE)
    output = line.run(film)
    keeps = lungs.weights(output.lungs, grow=line.spec.grow) == 0
    assert keeps.mean() > 0.3
    # The lungs stay where they were found, whatever the rest of the film shows.
    held = line.finder.run
    raw = held(np.asarray(_whole(film, line)))
    object.__setattr__(line, "finder", _Held(line.finder.input_shape, raw))
    for content in (0, 255):
        assert line.run(np.where(keeps, np.uint8(content), film)).probability == output.probability


class _Held:
    def __init__(self, input_shape, outputs) -> None:
        self.input_shape, self.outputs = input_shape, outputs

    def run(self, film):
        return self.outputs


def _whole(film, line):
    from mlcore.engine.serving.pipeline import whole
    from mlcore.engine.serving.preprocess import as_input

    return as_input(whole(film, line.finder.input_shape[1]))


def test_card_states_lungs_external_films_and_sources_left_out(trained):
    card = trained.card
    assert card["lungs"]["out_of_fold"]["dice"] > 0.8
    assert card["external"]["n"] == 24
    sets = {row["set"] for row in card["scope"]["measured"]}
    assert {f"adults of {name}, left out of training" for name in ("one", "two")} <= sets
    assert card["data"]["outliers"]["sources"] == ["one", "two"]
    assert "--lungs MASKS --lung-epochs 40" in card["commands"]["train"]
    assert "--external EXTERNAL" in card["commands"]["train"]


def test_heatmap_lies_on_the_film(trained, site):
    film = next((site / "elsewhere" / "PNEUMONIA").iterdir())
    line = Pipeline.of(trained)
    output = line.run(read_film(film.read_bytes()).pixels)
    shown = line.heatmap(output)
    assert shown.shape == (56, 56)
    weight = lungs.weights(output.lungs, grow=line.spec.grow).reshape(56, 4, 56, 4)
    assert not shown[weight.max(axis=(1, 3)) == 0].any()


def test_evaluation_and_shortcut_probe_run_without_tensorflow(site):
    run = manage(
        "evaluate_model", "--data", site / "elsewhere", "--model", NAME, "--shortcut-probe",
        "--json", site / "figures.json", var=site,
    )  # fmt: skip
    assert "probe lungs_masked" in run.stdout
    assert json.loads((site / "figures.json").read_text())["n"] == 24


def test_missing_folder_of_masks_is_refused_before_training(site):
    run = manage(
        "train_model", "--data", site / "films", "--name", "x", "--lungs", site / "gone",
        var=site, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "gone is not a folder" in run.stderr
