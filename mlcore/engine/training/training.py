"""Training a network: seeded, resumable after a kill, with averaged weights.

The state after each epoch lies in a folder of its own, written to a temporary file and renamed.
A run that starts with the state of an earlier one of the same options goes on after its last
epoch, and ends where an uninterrupted run would have. Importing this module imports Keras.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.serving.preprocess import Preprocessing, as_input
from mlcore.engine.training import architectures, backend
from mlcore.engine.training.augment import Augmentation, augment
from mlcore.engine.training.calibration import log_loss

Films = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

STATE_FILE = "state.npz"
OPTIONS_FILE = "options.json"


@dataclass(frozen=True)
class Options:
    """What decides a training run; two runs of the same options and films end the same.

    Attributes:
        arch: name of the architecture.
        image_size: side of the network's input in pixels.
        epochs: passes over the training films.
        batch_size: films a step.
        learning_rate: highest rate, reached after a tenth of the first epoch's length.
        weight_decay: of AdamW.
        label_smoothing: how far the targets are drawn from 0 and 1 towards one half.
        average: momentum of the weights' running average, which is what is kept.
        balance: whether both classes weigh the same in the loss.
        patience: epochs without a lower validation loss after which training stops and the best
            epoch's weights are kept; 0 trains to the end and keeps the last ones.
        mixed_precision: whether layers compute in bfloat16, for machines that are faster so.
        seed: of initial weights, order, augmentation and dropout.
    """

    arch: str = "resnet_small"
    image_size: int = 128
    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    average: float = 0.995
    balance: bool = True
    patience: int = 0
    mixed_precision: bool = False
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    def to_card(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class EpochResult:
    """One line of `history.csv`: losses, accuracies at one half, AUC; seconds, and those waited.

    The training figures are running means over the epoch's changed films; those of validation
    are of the averaged weights.
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
    """What a run reports; the command owns the console."""

    def member(self, number: int, members: int) -> None:
        """Network `number` (from 1) of `members` begins."""

    def resumed(self, epoch: int) -> None:
        """The run goes on after `epoch` epochs of an earlier one."""

    def step(
        self, epoch: int, done: int, steps: int, loss: float, accuracy: float, auc: float
    ) -> None:
        """A step of epoch `epoch` (from 1) is done; running figures of the epoch so far."""

    def epoch(self, result: EpochResult) -> None:
        """An epoch is done and its state is on disk."""


@dataclass(eq=False)
class TrainingSet:
    """Films ready for training: (n, size, size) uint8 from `prepare_bytes`, labels (n,) 0 or 1."""

    films: Films
    labels: Labels

    def only(self, chosen: npt.NDArray[np.bool_]) -> "TrainingSet":
        """Returns the films that `chosen` (n,) marks."""
        return TrainingSet(self.films[chosen], self.labels[chosen])

    def sha256(self) -> str:
        """Returns the hash of every pixel and label, in their order."""
        digest = hashlib.sha256(repr(self.films.shape).encode())
        digest.update(self.films.tobytes())
        digest.update(self.labels.astype(np.int64).tobytes())
        return digest.hexdigest()


def train(
    options: Options,
    training: TrainingSet,
    validation: TrainingSet,
    *,
    state_folder: Path,
    progress: Progress,
    initial: keras.Model | None = None,
) -> tuple[keras.Model, list[EpochResult]]:
    """Trains a network and returns it with its averaged weights.

    Args:
        initial: a network to go on from, of the same architecture and size.

    Raises:
        ValueError: a class is missing, or the state on disk is of other options or films.
    """
    for name, part in (("training", training), ("validation", validation)):
        if len(np.unique(part.labels)) != 2:
            raise ValueError(f"The {name} films must be of both classes.")
    run = _Run(options, training, state_folder)
    if initial is not None:
        run.model.set_weights(initial.get_weights())
        run.restart_average()
    done = run.resume()
    if done:
        progress.resumed(done)
    for epoch in range(done + 1, options.epochs + 1):
        if run.has_stopped_improving():
            break
        started = time.perf_counter()
        (loss, accuracy, auc), waited = run.one_epoch(epoch, progress)
        val_logits = logits_of(run.averaged_model(), validation.films)
        run.history.append(
            EpochResult(
                epoch=epoch,
                loss=loss,
                accuracy=accuracy,
                auc=auc,
                val_loss=log_loss(validation.labels, val_logits),
                val_accuracy=float(np.mean((val_logits >= 0) == (validation.labels == 1))),
                val_auc=metrics.auc(validation.labels, val_logits),
                seconds=time.perf_counter() - started,
                waited=waited,
            )
        )
        run.keep_if_best()
        run.save()
        progress.epoch(run.history[-1])
    return run.kept_model(), run.history


def logits_of(model: keras.Model, films: Films, *, batch_size: int = 64) -> npt.NDArray[Any]:
    """Runs the network over (n, size, size) uint8 films; returns (n,) log-odds."""
    return outputs_of(model, films, batch_size=batch_size)["logit"][:, 0]


def outputs_of(
    model: keras.Model, films: Films, *, batch_size: int = 64
) -> dict[str, npt.NDArray[Any]]:
    """Runs the network over (n, size, size) uint8 films; returns each output stacked."""
    parts: dict[str, list[Any]] = {}
    for start in range(0, len(films), batch_size):
        batch = films[start : start + batch_size]
        for name, value in model.predict_on_batch(as_input(batch)).items():
            # Under a strategy every replica answers for the whole batch, one after the other.
            parts.setdefault(name, []).append(np.asarray(value)[: len(batch)])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _network(options: Options, *, mixed: bool) -> keras.Model:
    """Builds the network under a precision of its own, whatever the process has set."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    try:
        return architectures.build(options.arch, size=options.image_size, seed=options.seed)
    finally:
        keras.config.set_dtype_policy(before)


@keras.saving.register_keras_serializable("xraysite")
class Trainer(keras.Model):
    """A model whose figures run on from batch to batch until the epoch ends."""

    def reset_metrics(self) -> None:
        """Does nothing: `train_on_batch` would start the figures afresh with every batch."""

    def begin_epoch(self) -> None:
        super().reset_metrics()


class _Run:
    """The moving parts of one training run."""

    def __init__(self, options: Options, data: TrainingSet, folder: Path) -> None:
        keras.utils.set_random_seed(options.seed)
        self.options, self.data, self.folder = options, data, folder
        # One network learns, in bfloat16 where asked; another, in float32, is measured and kept.
        self.model = _network(options, mixed=options.mixed_precision)
        self.measured = _network(options, mixed=False)
        self.best: list[npt.NDArray[Any]] = []
        self.steps = max(1, len(data.films) // options.batch_size)
        self.trainer = Trainer(self.model.input, self.model.output["logit"])
        self.trainer.compile(
            optimizer=keras.optimizers.AdamW(
                self._schedule(), weight_decay=options.weight_decay, global_clipnorm=5.0
            ),
            loss=keras.losses.BinaryCrossentropy(
                from_logits=True, label_smoothing=options.label_smoothing
            ),
            metrics=[
                keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),
                keras.metrics.AUC(name="auc", from_logits=True),
            ],
        )
        self.trainer.optimizer.build(self.trainer.trainable_variables)
        # Keras builds its metrics on a whole batch; one that is parted among replicas has no shape.
        side = options.image_size
        blank = np.zeros((2, side, side, 1), np.float32), np.zeros((2, 1), np.float32)
        self.trainer.test_on_batch(*blank, sample_weight=np.ones(2, np.float32))
        self.history: list[EpochResult] = []
        self.restart_average()

    def _schedule(self) -> keras.optimizers.schedules.LearningRateSchedule:
        total = self.steps * self.options.epochs
        warm_up = max(1, self.steps // 10)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=self.options.learning_rate / 20,
            decay_steps=max(1, total - warm_up),
            alpha=0.01,
            warmup_target=self.options.learning_rate,
            warmup_steps=warm_up,
        )

    def restart_average(self) -> None:
        self.average = [weight.copy() for weight in self.model.get_weights()]
        self.updates = 0

    def one_epoch(self, epoch: int, progress: Progress) -> tuple[list[float], float]:
        """Returns (loss, accuracy, AUC) and the seconds in which the network waited for films."""
        waited = 0.0
        figures = [np.nan] * 3
        self.trainer.begin_epoch()
        batches = self._batches(epoch)
        for step in range(1, self.steps + 1):
            asked = time.perf_counter()
            films, labels, weights = backend.parted(*next(batches))
            waited += time.perf_counter() - asked
            answer = self.trainer.train_on_batch(films, labels, sample_weight=weights)
            figures = [float(value) for value in answer]
            self._update_average()
            progress.step(epoch, step, self.steps, *figures)
        return figures, waited

    def _update_average(self) -> None:
        self.updates += 1
        # Early on the average follows fast, so that it forgets the initial weights.
        momentum = min(self.options.average, (1 + self.updates) / (10 + self.updates))
        for kept, now in zip(self.average, self.model.get_weights(), strict=True):
            kept *= momentum
            kept += (1 - momentum) * now

    def _batches(self, epoch: int) -> Iterator[tuple[Any, Any, Any]]:
        """Yields the epoch's steps, some prepared ahead; they hang on seed and epoch alone."""
        rng = np.random.default_rng([self.options.seed, epoch])
        order = rng.permutation(len(self.data.films))
        size = self.options.batch_size
        chosen = [order[start : start + size] for start in range(0, self.steps * size, size)]
        ahead = 4
        with ThreadPoolExecutor(2) as pool:
            pending = [pool.submit(self._batch, epoch, part) for part in chosen[:ahead]]
            for number in range(self.steps):
                yield pending.pop(0).result()
                if number + ahead < len(chosen):
                    pending.append(pool.submit(self._batch, epoch, chosen[number + ahead]))

    def _batch(self, epoch: int, indices: npt.NDArray[Any]) -> tuple[Any, Any, Any]:
        films = []
        for index in indices:
            rng = np.random.default_rng([self.options.seed, epoch, int(index)])
            donor = self.data.films[rng.integers(len(self.data.films))]
            films.append(
                augment(
                    self.data.films[index], donor=donor, rng=rng, spec=self.options.augmentation
                )
            )
        labels = self.data.labels[indices]
        return (
            as_input(np.stack(films)),
            labels.astype(np.float32)[:, np.newaxis],
            self._class_weights()[labels],
        )

    def _class_weights(self) -> npt.NDArray[np.float32]:
        counts = np.bincount(self.data.labels, minlength=2)
        if not self.options.balance:
            return np.ones(2, np.float32)
        return (counts.sum() / (2 * counts)).astype(np.float32)

    def averaged_model(self) -> keras.Model:
        """Returns the float32 network with the averaged weights; good until the next call."""
        self.measured.set_weights(self.average)
        return self.measured

    def has_stopped_improving(self) -> bool:
        patience = self.options.patience
        losses = [result.val_loss for result in self.history]
        return bool(patience) and len(losses) - 1 - int(np.argmin([*losses, np.inf])) >= patience

    def keep_if_best(self) -> None:
        losses = [result.val_loss for result in self.history]
        if self.options.patience and losses[-1] == min(losses):
            self.best = [weight.copy() for weight in self.average]

    def kept_model(self) -> keras.Model:
        self.measured.set_weights(self.best or self.average)
        return self.measured

    def _variables(self) -> list[Any]:
        # `variables` holds the dropout's random state too, which `get_weights` leaves out.
        return [*self.model.variables, *self.trainer.optimizer.variables]

    def _identity(self) -> dict[str, Any]:
        """What decides a run: two with the same identity end the same."""
        return {"options": self.options.to_card(), "films_sha256": self.data.sha256()}

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"v{i}": np.asarray(v) for i, v in enumerate(self._variables())}
        arrays |= {f"a{i}": value for i, value in enumerate(self.average)}
        arrays |= {f"b{i}": value for i, value in enumerate(self.best)}
        history = json.dumps([asdict(result) for result in self.history])
        arrays |= {"history": np.array(history), "updates": np.array(self.updates)}
        temporary = self.folder / f".{STATE_FILE}.part"
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        (self.folder / OPTIONS_FILE).write_text(json.dumps(self._identity()))
        temporary.replace(self.folder / STATE_FILE)

    def resume(self) -> int:
        """Takes up an earlier run's state; returns how many epochs it had done."""
        path = self.folder / STATE_FILE
        if not path.exists():
            return 0
        earlier = json.loads((self.folder / OPTIONS_FILE).read_text())
        if earlier != json.loads(json.dumps(self._identity())):
            raise ValueError(
                f"{self.folder} holds the state of a run with other options or films. "
                "Remove the folder to start afresh."
            )
        with np.load(path, allow_pickle=False) as state:
            for i, variable in enumerate(self._variables()):
                variable.assign(state[f"v{i}"])
            self.average = [state[f"a{i}"] for i in range(len(self.average))]
            self.best = [state[f"b{i}"] for i in range(len(self.average)) if f"b{i}" in state]
            self.updates = int(state["updates"])
            self.history = [EpochResult(**entry) for entry in json.loads(str(state["history"]))]
        return len(self.history)
