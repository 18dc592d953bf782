"""Training runs on tiny synthetic films, in separate processes because they load TensorFlow.

    python -m tests.mlcore.training_runs RUN FOLDER

Prints one line of JSON, which `run` returns.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tests import processes


def start(name: str, folder: Path, **environment: str) -> processes.Started:
    """Start a run; `finish` waits for it."""
    return processes.Started(
        ["-m", "tests.mlcore.training_runs", name, folder],
        env=os.environ | processes.QUIET | environment,
    )


def finish(process: processes.Started) -> Any:
    """Return what a run printed."""
    ended = process.finish(timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def cluster() -> list[dict[str, str]]:
    """Return the environment of each of two workers on loopback, the chief's first."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}
        for task in tasks
    ]


class Report:
    """Implements `training.Progress`; records its calls."""

    def __init__(self) -> None:
        self.resumed_after = self.steps = 0

    def member(self, number: int, members: int) -> None: ...

    def resumed(self, epoch: int) -> None:
        self.resumed_after = epoch

    def step(self, epoch: int, done: int, *_: Any) -> None:
        self.steps += 1

    def epoch(self, result: Any) -> None: ...


class KilledReport(Report):
    """Kills its own process in the middle of the second epoch."""

    def step(self, epoch: int, done: int, *_: Any) -> None:
        if epoch == 2 and done == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def films(n: int, *, seed: int, swapped: bool = False) -> Any:
    """Return n noise films of 32 pixels, those labelled 1 brighter, or darker if `swapped`."""
    from mlcore.engine.training.training import TrainingSet

    labels = np.arange(n) % 2
    brightness = 80 * (1 - labels if swapped else labels)
    noise = np.random.default_rng(seed).random((n, 32, 32)) * 120
    return TrainingSet.of_whole((noise + brightness[:, None, None]).astype(np.uint8), labels)


def train(
    folder: Path, *, report: Report | None = None, swapped: bool = False, **changes: Any
) -> tuple[Any, list[Any]]:
    """Train a small network with batch normalization and, unless `arch` is "still", dropout."""
    from mlcore.engine.training import architectures, training
    from mlcore.engine.training.backend import ONE_DEVICE

    if "tiny" not in architectures.names():
        small = partial(architectures.resnet_small, widths=(8, 16), blocks=(1, 1))
        architectures.register("tiny")(small)
        architectures.register("still")(partial(small, dropout=0.0))
    distribution = changes.pop("distribution", ONE_DEVICE)
    learnt = changes.pop("learnt", None) or films(64, seed=1)
    options = training.Options(
        **{"arch": "tiny", "image_size": 32, "epochs": 3, "batch_size": 16, "seed": 5} | changes
    )
    # 17 films: the last batch of an evaluation is neither full nor even.
    return training.train(
        options, learnt, films(17, seed=2, swapped=swapped), state_folder=folder,
        progress=report or Report(), distribution=distribution,
    )  # fmt: skip


def outcome(model: Any, history: list[Any]) -> str:
    """Return a hash of all results that must be bit-identical."""
    figures = [(r.loss, r.accuracy, r.auc, r.val_loss, r.val_accuracy, r.val_auc) for r in history]
    content = repr(figures).encode() + b"".join(w.tobytes() for w in model.get_weights())
    return hashlib.sha256(content).hexdigest()


POINTS = ("writing the weights", "renaming the folder", "removing the old one")


@contextmanager
def copied_while_saving(folder: Path) -> Iterator[dict[str, Path]]:
    """Copy a run's state while it saves its second epoch.

    A killed process leaves the files that are on disk at that moment, so each copy is the state
    of a run killed at that point.

    Args:
        folder: the state folder of the run.

    Yields:
        The copy made at each of `POINTS`.
    """
    import keras

    from mlcore.engine.training import callbacks

    rename, remove, save = Path.rename, callbacks.shutil.rmtree, keras.Model.save_weights
    copies: dict[str, Path] = {}

    def copy(point: str) -> Path:
        copies[point] = folder.with_name(f"killed-{len(copies)}")
        shutil.copytree(folder, copies[point])
        return copies[point]

    def save_weights(model: Any, filepath: str, **options: Any) -> None:
        save(model, filepath, **options)
        if POINTS[0] not in copies and (saved := list(folder.glob("epoch-*"))):
            assert len(saved) == 1
            half = copy(POINTS[0]) / Path(filepath).relative_to(folder)
            half.write_bytes(half.read_bytes()[:5000])

    def rename_folder(path: Path, target: Path) -> Path:
        if target == folder / "epoch-00002":
            copy(POINTS[1])
        return rename(path, target)

    def remove_folder(path: Path, **options: Any) -> None:
        if path == folder / "epoch-00001":
            next((copy(POINTS[2]) / path.name).iterdir()).unlink()
        remove(path, **options)

    with (
        mock.patch.object(keras.Model, "save_weights", save_weights),
        mock.patch.object(Path, "rename", rename_folder),
        mock.patch.object(callbacks.shutil, "rmtree", remove_folder),
    ):
        yield copies
    assert tuple(copies) == POINTS


def run_killed(folder: Path) -> None:
    train(folder, report=KilledReport())


def run_resumed(folder: Path) -> dict[str, Any]:
    """Resume the run that `run_killed` left, and compare it with an uninterrupted run."""
    report = Report()
    found: dict[str, Any] = {"resumed": outcome(*train(folder, report=report))}
    found |= {"resumed_after": report.resumed_after, "steps": report.steps}
    with copied_while_saving(folder.with_name("whole")) as killed:
        found["whole"] = outcome(*train(folder.with_name("whole")))
    found["left"] = sorted(path.name for path in folder.iterdir())
    for name, changes in (
        ("films", {"learnt": films(64, seed=3)}), ("options", {"learning_rate": 1e-3}),
    ):  # fmt: skip
        try:
            train(folder, **changes)
        except ValueError as error:
            found[f"other {name}"] = str(error)
    found["killed while"] = {}
    for point, state in killed.items():
        report = Report()
        ended = outcome(*train(state, report=report))
        found["killed while"][point] = [report.resumed_after, ended]
    return found | {"batches": batches()}


def run_stopped(folder: Path) -> dict[str, Any]:
    """Train on films whose labels contradict the validation films, so that early epochs are best.

    Once without a break, and once from the state of a run that was interrupted in the epoch after
    which it stops.
    """
    from mlcore.engine.training.training import logits_of

    changes = {"swapped": True, "patience": 2, "epochs": 8, "average": 0.5}

    class Copied(Report):
        def epoch(self, result: Any) -> None:
            shutil.copytree(folder / "whole", folder / f"after-{result.epoch}")

    model, history = train(folder / "whole", report=Copied(), **changes)
    labels = films(17, seed=2, swapped=True).labels
    logits = logits_of(model, films(17, seed=2, swapped=True).films)
    found: dict[str, Any] = {
        "val_losses": [result.val_loss for result in history],
        "kept_loss": float(np.mean(np.logaddexp(0, logits) - labels * logits)),
        "whole": outcome(model, history),
        "left": sorted(path.name for path in (folder / "whole").iterdir()),
    }

    broken = folder / f"after-{len(history) - 1}"
    found["resumed"] = outcome(*train(broken, **changes))
    report = Report()
    found["ended"] = outcome(*train(broken, report=report, **changes))
    return found | {"steps_after_the_end": report.steps}


def batches() -> dict[str, Any]:
    """Look at batches in several orders."""
    from mlcore.engine.training.batches import AugmentedBatches
    from mlcore.engine.training.training import Options

    def made(seed: int = 5) -> Any:
        data = films(35, seed=1)
        data.labels[:20] = 0
        return AugmentedBatches(data, Options(batch_size=8, seed=seed))

    def digest(batches: Any, index: int) -> str:
        return hashlib.sha256(b"".join(part.tobytes() for part in batches[index])).hexdigest()

    forward, backward, other_seed = made(), made(), made(seed=6)
    first = [digest(forward, index) for index in range(len(forward))]
    last_first = [digest(backward, index) for index in reversed(range(len(backward)))]
    backward.epoch = 2
    second = [digest(backward, index) for index in range(len(backward))]
    _, targets, weights = forward[0]
    return {
        "batches": len(forward),
        "first": first,
        "backward": last_first[::-1],
        "second": second,
        "other seed": [digest(other_seed, index) for index in range(len(other_seed))],
        "weights": sorted(
            {(float(t), float(w)) for t, w in zip(targets[:, 0], weights, strict=True)}
        ),
    }


def run_mirrored(folder: Path) -> dict[str, Any]:
    """Train on one device and on two logical CPUs, which stand for two GPUs."""
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    from mlcore.engine.training.backend import Distribution

    mirrored = Distribution(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    alone = train(folder / "one", arch="still")
    together = train(folder / "two", arch="still", distribution=mirrored)
    return {"replicas": mirrored.replicas, "one": figures_of(*alone), "two": figures_of(*together)}


def run_alone(folder: Path) -> dict[str, Any]:
    return figures_of(*train(folder, arch="still", patience=2))


def run_worker(folder: Path) -> dict[str, Any]:
    """Train as one of the workers in TF_CONFIG, like `run_alone`."""
    from mlcore.engine.training import backend

    distribution = backend.prepare("workers", deterministic=False)
    report = Report()
    found = train(folder, arch="still", patience=2, distribution=distribution, report=report)
    return figures_of(*found) | {
        "is_chief": distribution.is_chief,
        "replicas": distribution.replicas,
        "resumed_after": report.resumed_after,
        "steps": report.steps,
    }


def run_other_worker(folder: Path) -> str:
    """Train as a worker whose films differ from those of the others."""
    from mlcore.engine.training import backend

    distribution = backend.prepare("workers", deterministic=False)
    learnt = films(64, seed=1 if distribution.is_chief else 3)
    try:
        train(folder, arch="still", distribution=distribution, learnt=learnt)
    except ValueError as error:
        return str(error)
    return ""


def figures_of(model: Any, history: list[Any]) -> dict[str, Any]:
    from mlcore.engine.training.training import logits_of

    return {
        "history": [
            [r.loss, r.accuracy, r.auc, r.val_loss, r.val_accuracy, r.val_auc] for r in history
        ],
        "logits": logits_of(model, films(16, seed=4).films).tolist(),
    }


RUNS = {
    "killed": run_killed,
    "resumed": run_resumed,
    "stopped": run_stopped,
    "mirrored": run_mirrored,
    "alone": run_alone,
    "worker": run_worker,
    "other worker": run_other_worker,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(RUNS[sys.argv[1]](Path(sys.argv[2]))) + "\n")
