"""Ensembles: several networks trained on different patients, and training from a bundle."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests import migrated
from tests.films import write_dataset
from tests.mlcore.commands import manage, train

pytestmark = pytest.mark.xdist_group("training-members")

# TensorFlow compiles this one in 2 s, and the default in 7 s.
SMALL = ("--arch", "seed_cnn")


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("films"), per_class=36, size=96)


@pytest.fixture(scope="module")
def var(tmp_path_factory) -> Path:
    """The folder of a site without models."""
    var = tmp_path_factory.mktemp("site") / "var"
    migrated.copy_to(var)
    return var


@pytest.fixture(scope="module")
def card(var, films):
    """The card of two networks trained with out-of-population films."""
    outside = write_dataset(films.parent / "outside", per_class=6, seed=900, size=96)
    output = train(var, films, "pair", "--members", 2, "--outliers", outside, *SMALL, epochs=20)
    assert "Network 2/2, epoch 20/20" in output
    return json.loads((var / "b" / "pair" / "card.json").read_text())


class TestMembers:
    """Two networks trained on different patients and averaged into one serving graph."""

    def test_every_development_patient_has_an_out_of_fold_prediction(self, card):
        counts = card["data"]["counts"]
        development = sum(sum(counts[split].values()) for split in ("train", "validation"))
        assert card["metrics"]["validation"]["n"] == development
        assert card["metrics"]["test"]["n"] == sum(counts["test"].values())
        assert card["members"] == 2
        assert "2 ensemble members" in card["threshold"]["how"]
        assert card["conformal"]["lower"] <= card["threshold"]["value"]
        assert card["threshold"]["value"] <= card["conformal"]["upper"]

    def test_the_command_on_the_card_reproduces_the_card(self, card, var, films, tmp_path):
        typed = card["commands"]["robustness"].replace("DIR", str(films)).split()[1:]
        manage(*typed, "--shortcut-probe", "--json", tmp_path / "again", var=var)
        again = json.loads((tmp_path / "again").read_text())
        for name in ("n", "auc", "sensitivity", "specificity", "ece", "unsure_rate"):
            assert again[name] == card["metrics"]["test"][name]
        assert again["by_series"] == card["metrics"]["test"]["by_series"]
        assert again["robustness"]["rows"] == card["robustness"]["rows"]
        assert again["shortcuts"]["probes"] == card["shortcuts"]["probes"]

    def test_another_folder_has_no_known_split(self, card, var, tmp_path):
        other = write_dataset(tmp_path / "other", per_class=4, seed=77, size=96)
        run = manage("evaluate_model", "--data", other, "--model", "pair", "--split", "test",
                     var=var, check=False)  # fmt: skip
        assert run.returncode == 1
        assert "is not the data set that pair was trained on" in run.stderr

    def test_predictions_name_no_patient_and_give_the_figures_again(self, card, var):
        text = (var / "b" / "pair" / "predictions.csv").read_text()
        assert "person" not in text
        assert "IM-" not in text.replace("NORMAL2-IM", "")
        rows = list(csv.DictReader(io.StringIO(text)))
        test = [row for row in rows if row["split"] == "test"]
        called = [float(row["probability"]) >= card["threshold"]["value"] for row in test]
        right = [c == (row["label"] == "PNEUMONIA") for c, row in zip(called, test, strict=True)]
        assert sum(right) / len(right) == card["metrics"]["test"]["accuracy"]

    @pytest.mark.slow
    def test_training_can_continue_from_a_bundle(self, card, var, films):
        output = train(var, films, "onward", "--members", 2, "--from", "pair", *SMALL, epochs=1)
        assert "not active" in output
        onward = json.loads((var / "b" / "onward" / "card.json").read_text())
        assert onward["training"]["started_from"] == "pair"
        run = manage("train_model", "--data", films, "--name", "x", "--image-size", 64,
                     "--from", "no-such", var=var, check=False)  # fmt: skip
        assert run.returncode == 1
        assert "There is no bundle at" in run.stderr
