"""Training of a network on `keras.Model.fit`: seeded, with averaged weights, resumable.

The state after each epoch is saved in a folder. A run that finds the state of an earlier one with
the same options and films resumes after its last epoch, and ends where an uninterrupted run would
have ended. Importing this module imports Keras.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.serving.preprocess import as_input
from mlcore.engine.training import architectures, normalization
from mlcore.engine.training.backend import ONE_DEVICE, Distribution
from mlcore.engine.training.batches import AugmentedBatches, FilmBatches, Films, TrainingSet
from mlcore.engine.training.callbacks import (
    EpochBackup,
    EpochRecorder,
    EpochResult,
    NormalizationRefit,
    Progress,
    ResumedEarlyStopping,
)
from mlcore.engine.training.options import Options

CLIP_NORM = 5.0


def train(
    options: Options,
    training: TrainingSet,
    validation: TrainingSet,
    *,
    state_folder: Path,
    progress: Progress,
    initial: keras.Model | None = None,
    distribution: Distribution = ONE_DEVICE,
) -> tuple[keras.Model, list[EpochResult]]:
    """Train a network and return it, in float32 and with its averaged weights, with its history.

    Args:
        options: the training options.
        training: the training films.
        validation: the films that each epoch is evaluated on.
        state_folder: folder for the state after each epoch, from which a run resumes.
        progress: notified of every step and epoch.
        initial: network with initial weights, of the same architecture and size.
        distribution: devices among which each batch is divided; defaults to one device.

    Returns:
        The network and one result for each epoch. Of several workers, only the chief returns
        the best epoch's network if `options.patience` is set; the others return the last one's.

    Raises:
        ValueError: a class is missing, or the saved state has other options or films.
    """
    for name, part in (("training", training), ("validation", validation)):
        if len(np.unique(part.labels)) != 2:
            raise ValueError(f"The {name} films must be of both classes.")
    backup = EpochBackup(
        state_folder,
        {"options": options.to_card(), "films_sha256": training.sha256()},
        keep_best=options.patience > 0,
        progress=progress,
        distribution=distribution,
    )
    if backup.history:
        progress.resumed(len(backup.history))
    with closing(AugmentedBatches(training, options)) as batches:
        keras.utils.set_random_seed(options.seed)
        with distribution.scope():
            network = _network(options, mixed=options.mixed_precision)
            if initial is not None:
                network.set_weights(initial.get_weights())
            distribution.synchronize(network)
            learner = _compiled(network, options, len(batches), distribution)
        if not backup.finished:
            learner.fit(
                batches,
                epochs=options.epochs,
                validation_data=FilmBatches(validation, 2 * options.batch_size),
                callbacks=_callbacks(options, network, batches, backup, progress),
                shuffle=False,
                verbose=0,
            )
    if distribution.is_chief:
        backup.load_result(learner)
    result = _network(options, mixed=False)
    result.set_weights(network.get_weights())
    normalization.refit(result, training, seed=options.seed)
    return result, backup.history


def _callbacks(
    options: Options,
    network: keras.Model,
    batches: AugmentedBatches,
    backup: EpochBackup,
    progress: Progress,
) -> list[keras.callbacks.Callback]:
    # `fit` calls callbacks in this order: the saved state includes what earlier ones decided.
    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.SwapEMAWeights()]
    copy = _network(options, mixed=False)
    callbacks.append(NormalizationRefit(network, copy, batches.data, options.seed))
    if options.patience:
        callbacks.append(ResumedEarlyStopping(options.patience, list(backup.history)))
    return [*callbacks, EpochRecorder(batches, backup.history, progress), backup]


def _network(options: Options, *, mixed: bool) -> keras.Model:
    """Build the network with its own precision, independent of the process's setting."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    try:
        return architectures.build(options.arch, size=options.image_size, seed=options.seed)
    finally:
        keras.config.set_dtype_policy(before)


def _compiled(
    network: keras.Model, options: Options, steps: int, distribution: Distribution
) -> keras.Model:
    """Return a compiled model that shares the network's layers and outputs its log-odds."""
    model = distribution.model_class(network.input, network.output["logit"])
    model.compile(
        optimizer=keras.optimizers.AdamW(
            _schedule(options, steps),
            weight_decay=options.weight_decay,
            # Keras clips each replica's share of the gradient before it adds them up. Bounding
            # each share bounds their sum.
            global_clipnorm=CLIP_NORM / distribution.replicas,
            use_ema=True,
            ema_momentum=average_momentum(options, steps),
        ),
        loss=keras.losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=options.label_smoothing
        ),
        metrics=[
            keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),
            keras.metrics.AUC(name="auc", num_thresholds=1000, from_logits=True),
            keras.metrics.BinaryCrossentropy(name="cross_entropy", from_logits=True),
        ],
    )
    # `fit` would build it outside the strategy's scope when it restores a saved state.
    model.optimizer.build(model.trainable_variables)
    return model


def _schedule(options: Options, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    warm_up = max(1, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=options.learning_rate / 20,
        decay_steps=max(1, steps * options.epochs - warm_up),
        alpha=0.01,
        warmup_target=options.learning_rate,
        warmup_steps=warm_up,
    )


def average_momentum(options: Options, steps: int) -> float:
    """Return the momentum of the weights' moving average, for epochs of `steps` steps.

    The average must forget the initial weights: it reaches back over a fifth of the run at most.
    """
    return max(0.0, min(options.average, 1 - 5 / (steps * options.epochs)))


def logits_of(model: keras.Model, films: Films, *, batch_size: int = 64) -> npt.NDArray[Any]:
    """Run the network over (n, size, size) uint8 films; return (n,) log-odds."""
    return outputs_of(model, films, batch_size=batch_size)["logit"][:, 0]


def outputs_of(
    model: keras.Model, films: Films, *, batch_size: int = 64
) -> dict[str, npt.NDArray[Any]]:
    """Run the network over (n, size, size) uint8 films; return each output stacked."""
    parts: dict[str, list[Any]] = {}
    for start in range(0, len(films), batch_size):
        batch = as_input(films[start : start + batch_size])
        for name, value in model.predict_on_batch(batch).items():
            parts.setdefault(name, []).append(np.asarray(value))
    return {name: np.concatenate(values) for name, values in parts.items()}
