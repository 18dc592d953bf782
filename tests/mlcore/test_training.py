"""Training on drawn films: to the end, killed and resumed, and what the bundle then says."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.films import write_dataset

pytestmark = pytest.mark.xdist_group("training")

ROOT = Path(__file__).resolve().parent.parent.parent
DRAWN = {
    "age_years": [1, 5], "view": ["PA"], "modality": ["DX"], "body_part": ["CHEST"],
    "sites": ["drawn by a computer"], "source": "tests/films.py", "licence": "Apache-2.0",
}  # fmt: skip
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}


def manage(*arguments: object, var: Path, check: bool = True) -> subprocess.CompletedProcess:
    """Runs manage.py as a person does, with a database and folders of its own."""
    environment = os.environ | QUIET | {"XRAYSITE_VAR": str(var), "BUNDLE_DIR": str(var / "b")}
    environment["DJANGO_SETTINGS_MODULE"] = "xraysite.settings.local"
    run = subprocess.run(
        [sys.executable, "manage.py", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if check:
        assert run.returncode == 0, run.stdout + run.stderr
    return run


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("films"), per_class=36, size=96)


@pytest.fixture(scope="module")
def var(tmp_path_factory, films) -> Path:
    """A site on which the real commands trained `drawn` for two epochs and activated it."""
    var = tmp_path_factory.mktemp("var")
    manage("migrate", "-v0", var=var)
    train(var, films, "drawn", epochs=2)
    manage("activate_model", "drawn", var=var)
    return var


def train(var: Path, films: Path, name: str, *, epochs: int) -> str:
    stated = films.parent / "population.json"
    stated.write_text(json.dumps(DRAWN))
    run = manage("train_model", "--data", films, "--name", name, "--epochs", epochs,
                 "--image-size", 64, "--seed", 3, "--population", stated, var=var)  # fmt: skip
    return run.stdout


def test_training_writes_a_whole_bundle_and_activates_nothing(var, films):
    folder = var / "b" / "drawn"
    card = json.loads((folder / "card.json").read_text())
    assert card["labels"] == ["NORMAL", "PNEUMONIA"]
    assert card["threshold"]["chosen_on"] == "validation"
    assert card["training"]["arguments"]["seed"] == 3
    assert card["population"] == DRAWN
    assert set(card["files"]) >= {
        "model.keras", "model.tflite", "golden.json", "history.csv", "roc.png", "curves.png",
        "reliability.png", "confusion.png",
    }  # fmt: skip
    assert (folder / "history.csv").read_text().count("\n") == 3
    assert not (var / "b" / ".training-drawn").exists()
    output = train(var, films, "second", epochs=1)
    assert "not active" in output
    assert "activate_model second" in output
    shell = "from mlcore.models import *; print(ModelVersion.objects.get(is_active=True))"
    assert manage("shell", "-v0", "-c", shell, var=var).stdout.strip() == "drawn"


def test_a_population_that_is_not_stated_whole_is_refused(var, films, tmp_path):
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
    assert "exists already" in refused("taken")
    assert "active model is named 'drawn'" in refused("drawn", "--out", tmp_path)
    assert not list(tmp_path.iterdir())


def test_evaluate_says_the_same_each_time(var, films, tmp_path):
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


def test_predict_goes_on_after_a_bad_file(var, films, tmp_path):
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
    assert "no JPEG, PNG, BMP, TIFF, WebP or DICOM" in results[1]["error"]
    assert results[2]["error"] == "No such file or directory"


def test_without_tensorflow_evaluate_and_predict_still_run(var, films, tmp_path):
    """They serve through LiteRT: a machine that only serves has no TensorFlow."""
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text("import sys\nfor n in ('tensorflow', 'keras'): sys.modules[n] = None\n")
    environment = {"PYTHONPATH": str(tmp_path)}
    os.environ.update(environment)
    try:
        manage("evaluate_model", "--data", films, var=var)
    finally:
        del os.environ["PYTHONPATH"]


def test_an_audit_finds_the_patient_on_both_sides(var, films, tmp_path):
    clean = tmp_path / "clean"
    for split, start in (("train", 0), ("test", 500)):
        write_dataset(clean / split, per_class=4, seed=start, size=96)
    out = tmp_path / "audit.json"
    run = manage("audit_dataset", "--data", clean, "--json", out, var=var, check=False)
    audit = json.loads(out.read_text())
    # The drawn sets number their patients alike, so the same names are on both sides.
    assert run.returncode == 1
    assert audit["leaks"]["patients"]
    assert audit["counts"]["train"] == {"NORMAL": 4, "PNEUMONIA": 4}
    whole = manage("audit_dataset", "--data", films, "--json", out, var=var)
    assert "72 films" in whole.stdout
    assert json.loads(out.read_text())["leaks"]["found"] is False


@pytest.mark.parametrize("command", ["audit_dataset", "train_model", "evaluate_model"])
def test_a_folder_without_classes_is_said_so(command, var, tmp_path):
    extra = ("--name", "x") if command == "train_model" else ()
    run = manage(command, "--data", tmp_path, *extra, var=var, check=False)
    assert run.returncode == 1
    assert re.search("class folders NORMAL and PNEUMONIA", run.stderr)
    assert "Traceback" not in run.stderr


def test_keras_and_litert_give_the_same_answers(var, films):
    """The same film through the network that was trained and the one that is served."""
    code = f"""
import json, sys
from pathlib import Path
import keras, numpy as np
from mlcore.engine import architectures, bundle, preprocess, runtime
from mlcore.engine.calibration import Calibration
from mlcore.engine.film import read_film
found = bundle.read(Path({str(var / "b" / "drawn")!r}))
network = keras.models.load_model(found.folder / "model.keras")
session = runtime.Session(found.tflite)
spec = preprocess.Preprocessing.from_card(found.card["preprocessing"])
calibration = Calibration.from_card(found.card["calibration"])
worst = 0.0
for path in sorted(Path({str(films)!r}).rglob("*.jpeg"))[::9]:
    film = preprocess.prepare(read_film(path.read_bytes()).pixels, size=64, spec=spec)
    ours = session.run(film)
    theirs = network.predict_on_batch(film[np.newaxis])
    chance = calibration.probabilities(theirs["logit"][0, 0])
    worst = max(worst, abs(ours.probability - chance),
                np.abs(ours.activation_map - theirs["evidence"][0, ..., 0]).max())
    # The map explains the answer exactly: its mean is the film's log-odds.
    assert abs(ours.activation_map.mean() - theirs["logit"][0, 0]) < 1e-4
print(worst)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | QUIET,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) < 1e-4


def test_the_map_is_grad_cam(var, films):
    code = f"""
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from mlcore.engine import architectures, bundle, explain
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
ours = explain.class_activation_map(features[0].numpy(), weights[0, 0, :, 0], float(bias[0]))
theirs = explain.grad_cam(features[0].numpy(), gradient)
cells = gradient.shape[0] * gradient.shape[1]
np.testing.assert_allclose(ours - float(bias[0]), cells * theirs, rtol=1e-3, atol=1e-4)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | QUIET,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


RESUME = """
import sys
from pathlib import Path
import numpy as np
from mlcore.engine import training
rng = np.random.default_rng(0)
def films(n):
    labels = np.arange(n) % 2
    return training.TrainingSet((rng.random((n, 32, 32)) * 120 + 100 * labels[:, None, None]
                                 ).astype(np.uint8), labels)
first, second = films(64), films(16)
if sys.argv[2] == "other films":
    first.labels[:2] = first.labels[1::-1]
class Progress:
    def resumed(self, epoch): print("resumed", epoch)
    def step(self, epoch, done, steps, loss, accuracy):
        if sys.argv[2] == "kill" and epoch == 2 and done == 2:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
    def epoch(self, result): pass
options = training.Options(image_size=32, epochs=3, batch_size=16, seed=5)
model, history = training.train(options, first, second, state_folder=Path(sys.argv[1]),
                                progress=Progress())
print([round(h.val_loss, 5) for h in history], round(float(sum(
    np.abs(w).sum() for w in model.get_weights())), 3))
"""


def test_a_run_that_was_killed_ends_where_an_uninterrupted_one_does(tmp_path):
    def run(folder: str, mode: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", RESUME, str(tmp_path / folder), mode],
            cwd=ROOT, env=os.environ | QUIET, capture_output=True, text=True, check=False,
            timeout=200,
        )  # fmt: skip

    whole = run("whole", "go")
    assert whole.returncode == 0, whole.stderr
    assert run("killed", "kill").returncode == -9
    resumed = run("killed", "go")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.splitlines()[0] == "resumed 1"
    assert resumed.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    changed = run("killed", "other films")
    assert "other options or films" in changed.stderr


def test_plots_are_pictures():
    from PIL import Image

    from mlcore.engine import plots

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
