"""Callbacks of `keras.Model.fit`: progress reports, saved state and resuming."""

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import keras

from mlcore.engine.training import normalization
from mlcore.engine.training.backend import Distribution
from mlcore.engine.training.batches import AugmentedBatches, TrainingSet

STATE_FILE = "state.json"
WEIGHTS_FILE = "latest.weights.h5"  # as BackupAndRestore names it
# Cross-entropy without label smoothing, which the compiled loss has.
MONITOR = "val_cross_entropy"


@dataclass(frozen=True)
class EpochResult:
    """The metrics of one epoch: a line of `history.csv`.

    Attributes:
        epoch: from 1.
        loss, accuracy, auc: running means over the epoch's augmented films.
        val_loss, val_accuracy, val_auc: on validation films, with the averaged weights.
        seconds: duration of the epoch, including validation.
        waited: seconds of the epoch that the network spent waiting for films.
    """

    epoch: int
    loss: float
    accuracy: float
    auc: float
    val_loss: float
    val_accuracy: float
    val_auc: float
    seconds: float
    waited: float


class Progress(Protocol):
    """Receives the progress of a run; implemented by the command, which owns the console."""

    def member(self, number: int, members: int) -> None:
        """Called when network `number` (from 1) of `members` starts."""

    def resumed(self, epoch: int) -> None:
        """Called when the run resumes after `epoch` epochs of an earlier one."""

    def step(
        self, epoch: int, done: int, steps: int, loss: float, accuracy: float, auc: float
    ) -> None:
        """Called after each step of epoch `epoch` (from 1), with the running metrics so far."""

    def epoch(self, result: EpochResult) -> None:
        """Called when an epoch is finished and its state is on disk."""


class EpochRecorder(keras.callbacks.Callback):
    """Set each epoch's random state by its number, time it, and append its metrics to `history`."""

    def __init__(
        self, batches: AugmentedBatches, history: list[EpochResult], progress: Progress
    ) -> None:
        super().__init__()
        self.batches, self.history, self.progress = batches, history, progress

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.epoch = epoch + 1
        self.batches.made.clear()
        for layer in self.model.layers:
            # The random state of a dropout layer is a seed and a counter of its uses. Keras does
            # not save it with the weights, so the counter is set from the number of steps.
            if generator := getattr(layer, "seed_generator", None):
                seed = keras.ops.convert_to_numpy(generator.state)[0]
                generator.state.assign([seed, epoch * len(self.batches)])
        self.waited = 0.0
        self.began = self.step_ended = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        figures = (logs[name] for name in ("loss", "accuracy", "auc"))
        self.progress.step(len(self.history) + 1, batch + 1, len(self.batches), *figures)
        # The last step had ended, but this one's films were still being made.
        started, ready = self.batches.made[batch]
        self.waited += max(0.0, ready - max(started, self.step_ended))
        self.step_ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        names = ("loss", "accuracy", "auc", "val_accuracy", "val_auc")
        self.history.append(
            EpochResult(
                epoch=epoch + 1,
                val_loss=logs[MONITOR],
                seconds=time.perf_counter() - self.began,
                waited=self.waited,
                **{name: logs[name] for name in names},
            )
        )


class ResumedEarlyStopping(keras.callbacks.EarlyStopping):
    """Early stopping that knows the epochs of an interrupted run.

    The callback of Keras starts to count from zero when a run is resumed.
    """

    def __init__(self, patience: int, history: list[EpochResult]) -> None:
        super().__init__(MONITOR, patience=patience, mode="min")
        self.history = history

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        for result in self.history:
            self.on_epoch_end(result.epoch - 1, {MONITOR: result.val_loss})


class NormalizationRefit(keras.callbacks.Callback):
    """Recompute the batch normalisation of the averaged weights before each validation.

    Runs after `SwapEMAWeights`, which puts the averaged weights in place.

    Args:
        network: the network in training, on any number of devices.
        copy: a network of the same architecture on one device, to compute with.
        data: the training films.
        seed: seed of the choice of films.
    """

    BATCHES = 8

    def __init__(
        self, network: keras.Model, copy: keras.Model, data: TrainingSet, seed: int
    ) -> None:
        super().__init__()
        self.network, self.copy, self.data, self.seed = network, copy, data, seed

    def on_test_begin(self, logs: Any = None) -> None:
        self.copy.set_weights(self.network.get_weights())
        normalization.refit(self.copy, self.data, seed=self.seed, most_batches=self.BATCHES)
        for ours, theirs in zip(self.network.weights, self.copy.weights, strict=True):
            if not ours.trainable:
                ours.assign(theirs.numpy())


class EpochBackup(keras.callbacks.Callback):
    """Save the state after each epoch, so that a run killed at any moment resumes exactly.

    Weights, optimizer and averages are saved and restored by `keras.callbacks.BackupAndRestore`.
    That callback overwrites its two files one after the other: a process killed in between
    would repeat an epoch on top of itself. It also keeps neither the history nor the best
    epoch. So here each epoch gets a separate folder, which is renamed into place once it is
    complete. The last epoch is kept, and with `keep_best` the best one as well.

    Args:
        folder: where to save; created if missing.
        identity: everything that determines the result of a run.
        keep_best: whether the epoch with the lowest validation loss is the result.
        progress: notified when an epoch is on disk.
        distribution: the devices; of several workers, the chief saves and all resume.

    Attributes:
        history: the finished epochs.
        finished: whether early stopping ended the run.

    Raises:
        ValueError: the folder contains the state of a run with another identity.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        *,
        keep_best: bool,
        progress: Progress,
        distribution: Distribution,
    ) -> None:
        super().__init__()
        self.folder, self.keep_best = folder, keep_best
        # Converted like the saved JSON, so that the two can be compared.
        self.identity = json.loads(json.dumps(identity))
        self.progress, self.distribution = progress, distribution
        self.history: list[EpochResult] = []
        self.finished = False
        if saved := self._saved():
            self._read(saved[-1])
        distribution.require_agreement(json.dumps([self.identity, len(self.history)]))

    def _saved(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"))

    def _folder_of(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}"

    def _read(self, folder: Path) -> None:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        if state["identity"] != self.identity:
            raise ValueError(
                f"{self.folder} holds the state of a run with other options or films. "
                "Remove the folder to start afresh."
            )
        self.history = [EpochResult(**result) for result in state["history"]]
        self.finished = state["finished"]

    def result_epoch(self) -> int:
        """Return the number of the epoch whose weights are the run's result."""
        if self.keep_best:
            return min(self.history, key=lambda result: result.val_loss).epoch
        return self.history[-1].epoch

    def load_result(self, model: keras.Model) -> None:
        """Give a compiled model the averaged weights of the run's result."""
        model.load_weights(self._folder_of(self.result_epoch()) / WEIGHTS_FILE)
        model.optimizer.finalize_variable_values(model.trainable_variables)

    def on_train_begin(self, logs: Any = None) -> None:
        if self.history:
            self._keras_backup(self._folder_of(len(self.history))).on_train_begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.finished = self.model.stop_training
        if self.distribution.is_chief:
            self._save(epoch)
        self.progress.epoch(self.history[-1])

    def _save(self, epoch: int) -> None:
        part = self.folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        self._keras_backup(part).on_epoch_end(epoch)
        state = {
            "identity": self.identity,
            "history": [asdict(result) for result in self.history],
            "finished": self.finished,
        }
        (part / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
        part.rename(self._folder_of(epoch + 1))
        needed = {self._folder_of(epoch + 1), self._folder_of(self.result_epoch())}
        for folder in self._saved():
            if folder not in needed:
                shutil.rmtree(folder)

    def _keras_backup(self, folder: Path) -> keras.callbacks.BackupAndRestore:
        backup = keras.callbacks.BackupAndRestore(str(folder))
        backup.set_model(self.model)
        return backup
