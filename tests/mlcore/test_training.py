"""Training on synthetic films: complete, interrupted and resumed, and the resulting bundle."""

import csv
import io
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests import migrated
from tests.films import write_dataset
from tests.mlcore.commands import DRAWN, OVERRIDES, manage, run_code, train
from tests.mlcore.training_runs import cluster

pytestmark = pytest.mark.xdist_group("training")

# Options that make a second run bit-identical.
REPEATABLE = ("--deterministic", "--mixed-precision", "--patience", 1)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("films"), per_class=36, size=96)


@pytest.fixture(scope="module")
def var(tmp_path_factory, films) -> Path:
    """A site on which the commands trained the model `drawn` for two epochs and activated it."""
    var = tmp_path_factory.mktemp("site") / "var"
    migrated.copy_to(var)
    (var / "said").write_text(train(var, films, "drawn", *REPEATABLE, epochs=2))
    shell = "from mlcore.models import *; print(ModelVersion.objects.filter(is_active=True))"
    assert "[]" in manage("shell", "-v0", "-c", shell, var=var).stdout
    manage("activate_model", "drawn", *OVERRIDES, var=var)
    return var


def test_training_writes_a_complete_bundle_and_activates_nothing(var, films):
    folder = var / "b" / "drawn"
    card = json.loads((folder / "card.json").read_text())
    assert card["labels"] == ["NORMAL", "PNEUMONIA"]
    assert card["threshold"]["chosen_on"] == "validation"
    assert card["training"]["arguments"]["seed"] == 0
    assert card["population"] == DRAWN
    assert set(card["files"]) >= {
        "model.keras", "model.tflite", "golden.json", "history.csv", "roc.png", "curves.png",
        "reliability.png", "confusion.png", "predictions.csv",
    }  # fmt: skip
    assert (folder / "history.csv").read_text().count("\n") == 3
    assert not (var / "b" / ".training-drawn").exists()
    said = (var / "said").read_text()
    assert "not active" in said
    assert "activate_model drawn" in said
    assert re.search(r"epoch 2/2: loss [\d.]+, accuracy [\d.]+, AUC [\d.]+; validation: ", said)


def test_an_incomplete_population_is_refused(var, films, tmp_path):
    path = tmp_path / "population.json"
    for content, said in (("{", "cannot be read as JSON"), ('{"view": []}', "age_years")):
        path.write_text(content)
        run = manage("train_model", "--data", films, "--name", "other", "--population", path,
                     var=var, check=False)  # fmt: skip
        assert run.returncode == 1
        assert said in run.stderr


def test_a_name_that_is_taken_is_refused(var, films, tmp_path):
    def refused(name: str, *more: object) -> str:
        run = manage("train_model", "--data", films, "--name", name, "--epochs", 1,
                     "--image-size", 64, *more, var=var, check=False)  # fmt: skip
        assert run.returncode == 1
        return run.stderr

    (var / "b" / "taken").mkdir()
    assert "already exists" in refused("taken")
    said = refused("drawn", "--out", tmp_path)
    assert "registered model is already named 'drawn'" in said
    assert "--name drawn-2" in said
    assert not list(tmp_path.iterdir())


def test_evaluate_model_is_reproducible(var, films, tmp_path):
    for attempt in ("a", "b"):
        manage("evaluate_model", "--data", films, "--json", tmp_path / attempt, var=var)
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("a", "b"))
    assert first == second
    assert set(first) >= {
        "n", "auc", "auc_ci", "accuracy", "accuracy_ci", "sensitivity", "specificity", "ppv",
        "npv", "brier", "ece", "threshold", "confusion", "out_of_scope_rate", "model",
        "bundle_sha256",
    }  # fmt: skip
    assert first["n"] == 72
    assert first["model"] == "drawn"


def test_predict_image_continues_after_a_bad_file(var, films, tmp_path):
    good = next((films / "NORMAL").iterdir())
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a film")
    out = tmp_path / "out.json"
    manage("predict_image", good, bad, tmp_path / "gone.png", "--json", out, var=var)
    results = json.loads(out.read_text())
    assert [Path(entry["file"]).name for entry in results] == [good.name, "bad.jpg", "gone.png"]
    assert set(results[0]) >= {
        "file", "label", "probabilities", "threshold", "scope_score", "model",
    }  # fmt: skip
    assert results[0]["label"] in {"NORMAL", "PNEUMONIA", "UNSURE", "OUT_OF_SCOPE"}
    assert "Choose a JPEG, PNG, BMP, TIFF, WebP or DICOM file." in results[1]["error"]
    assert results[2]["error"] == "No such file or directory"


def test_without_tensorflow_evaluate_and_predict_still_run(var, films, tmp_path, serve_python):
    """Both commands use LiteRT, and a serving machine has no TensorFlow."""
    paths = sorted(films.rglob("*.jpeg"))[::24]
    found = {}
    for name, python in (("with", sys.executable), ("without", serve_python)):
        figures, predictions = tmp_path / f"figures-{name}", tmp_path / f"predictions-{name}"
        manage("evaluate_model", "--data", films, "--json", figures, var=var, python=python)
        manage("predict_image", *paths, "--json", predictions, var=var, python=python)
        found[name] = json.loads(figures.read_text()), json.loads(predictions.read_text())
        for prediction in found[name][1]:
            assert prediction.pop("milliseconds") > 0
    assert found["without"] == found["with"]
    figures, predictions = found["without"]
    assert (figures["n"], figures["model"]) == (72, "drawn")
    assert [prediction["file"] for prediction in predictions] == [str(path) for path in paths]
    assert {prediction["model"] for prediction in predictions} == {"drawn"}


def test_an_audit_finds_a_patient_in_both_splits(var, films, tmp_path):
    clean = tmp_path / "clean"
    for split, start in (("train", 0), ("test", 500)):
        write_dataset(clean / split, per_class=4, seed=start, size=96)
    out = tmp_path / "audit.json"
    run = manage("audit_dataset", "--data", clean, "--json", out, var=var, check=False)
    audit = json.loads(out.read_text())
    # Both synthetic sets number patients alike, so the same names are in both splits.
    assert run.returncode == 1
    assert audit["leaks"]["patients"]
    assert audit["counts"]["train"] == {"NORMAL": 4, "PNEUMONIA": 4}
    whole = manage("audit_dataset", "--data", films, "--json", out, var=var)
    assert "72 films" in whole.stdout
    assert json.loads(out.read_text())["leaks"]["found"] is False


@pytest.mark.parametrize("command", ["audit_dataset", "train_model", "evaluate_model"])
def test_a_folder_without_classes_is_reported(command, var, tmp_path):
    extra = ("--name", "x") if command == "train_model" else ()
    run = manage(command, "--data", tmp_path, *extra, var=var, check=False)
    assert run.returncode == 1
    assert re.search("class folders NORMAL and PNEUMONIA", run.stderr)
    assert "Traceback" not in run.stderr


def test_keras_and_litert_give_the_same_answers(var, films):
    """Predict the same film with the trained and the serving network."""
    code = f"""
import json, sys
from pathlib import Path
import keras, numpy as np
from mlcore.engine.serving import bundle, preprocess
from mlcore.engine.serving.pipeline import Pipeline
from mlcore.engine.training import architectures
from mlcore.engine.training.calibration import Calibration
from mlcore.engine.films.film import read_film
found = bundle.read(Path({str(var / "b" / "drawn")!r}))
network = keras.models.load_model(found.folder / "model.keras")
pipeline = Pipeline.of(found)
spec = preprocess.Preprocessing.from_card(found.card["preprocessing"])
calibration = Calibration.from_card(found.card["calibration"])
worst = 0.0
for path in sorted(Path({str(films)!r}).rglob("*.jpeg"))[::9]:
    pixels = read_film(path.read_bytes()).pixels
    film = preprocess.prepare(pixels, size=64, spec=spec)
    ours = pipeline.run(pixels)
    theirs = network.predict_on_batch(film[np.newaxis])
    chance = calibration.probabilities(theirs["logit"][0, 0])
    worst = max(worst, abs(ours.probability - chance),
                np.abs(ours.activation_map - theirs["evidence"][0, ..., 0]).max())
    # The map explains the answer exactly: its mean is the film's log-odds.
    assert abs(ours.activation_map.mean() - theirs["logit"][0, 0]) < 1e-4
print(worst)
"""
    assert float(run_code(code).split()[-1]) < 1e-4


def test_the_map_is_grad_cam(var, films):
    code = f"""
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from mlcore.engine.training import architectures
from tests.mlcore.activation_maps import class_activation_map, grad_cam
network = keras.models.load_model(Path({str(var / "b" / "drawn" / "model.keras")!r}))
evidence = network.get_layer("evidence")
weights, bias = (np.asarray(w) for w in evidence.get_weights())
inner = keras.Model(network.input, [evidence.input, network.output["logit"]])
film = tf.random.uniform((1, 64, 64, 1), seed=1)
with tf.GradientTape() as tape:
    features, logit = inner(film)
    tape.watch(features)
    # From the features on, again: the tape sees the path from them to the log-odds.
    logit = tf.reduce_mean(evidence(features))
gradient = tape.gradient(logit, features)[0].numpy()
ours = class_activation_map(features[0].numpy(), weights[0, 0, :, 0], float(bias[0]))
theirs = grad_cam(features[0].numpy(), gradient)
cells = gradient.shape[0] * gradient.shape[1]
np.testing.assert_allclose(ours - float(bias[0]), cells * theirs, rtol=1e-3, atol=1e-4)
"""
    run_code(code)


def test_plots_are_images():
    from PIL import Image

    from mlcore.engine.evaluation import plots

    labels = np.array([0, 1] * 20)
    probabilities = np.clip(labels * 0.5 + np.linspace(0, 0.5, 40), 0, 1)
    drawn = [
        plots.roc(labels, probabilities, threshold=0.5),
        plots.reliability(labels, probabilities),
        plots.confusion({"tp": 1, "fp": 2, "tn": 3, "fn": 4}, ["NORMAL", "PNEUMONIA"]),
    ]
    for content in drawn:
        with Image.open(io.BytesIO(content)) as picture:
            assert min(picture.size) > 300


@pytest.mark.slow
def test_the_same_seed_gives_a_bit_identical_network(var, films):
    train(var, films, "again", *REPEATABLE, epochs=2)
    digests = []
    for name in ("drawn", "again"):
        card = json.loads((var / "b" / name / "card.json").read_text())
        digests.append(card["files"]["predictions.csv"])
        assert card["training"]["arguments"]["mixed_precision"] is True
    assert digests[0] == digests[1]


def test_a_leaking_data_set_is_refused_unless_forced(var, films, tmp_path):
    leaking = tmp_path / "leaking"
    for split in ("train", "val", "test"):
        write_dataset(leaking / split, per_class=4, seed=0, size=96)
    arguments = ("train_model", "--data", leaking, "--name", "leaky", "--image-size", 64,
                 "--epochs", 1)  # fmt: skip
    refused = manage(*arguments, var=var, check=False)
    assert refused.returncode == 1
    assert "split leaks" in refused.stderr
    assert "--unaudited" in refused.stderr
    assert not (var / "b" / "leaky").exists()
    both = write_dataset(tmp_path / "both", per_class=8, seed=0, size=96)
    film = next((both / "NORMAL").iterdir())
    (both / "PNEUMONIA" / "person9_virus_1.jpeg").write_bytes(film.read_bytes())
    run = manage("train_model", "--data", both, "--name", "x", var=var, check=False)
    assert "with both labels" in run.stderr


@pytest.mark.slow
def test_two_workers_train_the_same_bundle_as_one_process(var, films):
    """Uses `seed_cnn`, which has no dropout; dropout depends on how a batch is divided."""
    arguments: tuple[object, ...] = (
        "train_model", "--data", films, "--epochs", 3, "--image-size", 64, "--seed", 0,
        "--arch", "seed_cnn", "--population", films.parent / "population.json",
    )  # fmt: skip
    manage(*arguments, "--name", "alone", var=var)
    arguments = (*arguments, "--name", "together", "--strategy", "workers")
    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(manage, *arguments, var=var, **task) for task in cluster()]
        chief, other = (worker.result().stdout for worker in workers)
    assert "Registered together" in chief
    assert "Registered" not in other
    assert "This worker is done" in other
    assert not (var / "b" / ".training-together").exists()
    # Floats are added in another order; see `test_training_loop.assert_same`.
    alone, together = (rows_of(var / "b" / name / "history.csv") for name in ("alone", "together"))
    assert len(together) == len(alone) == 3
    for ours, theirs in zip(together, alone, strict=True):
        for name in ("loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=2e-4)
    alone, together = (
        rows_of(var / "b" / name / "predictions.csv") for name in ("alone", "together")
    )
    assert len(together) == len(alone) > 10
    for ours, theirs in zip(together, alone, strict=True):
        assert ours["pixels_sha256"] == theirs["pixels_sha256"]
        assert float(ours["probability"]) == pytest.approx(float(theirs["probability"]), abs=1e-3)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
