"""The devices that train a network: one, the GPUs of a machine, or several machines.

TensorFlow is imported only if a strategy or determinism is requested, so that a network can
be trained on one device with any Keras backend.
"""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

STRATEGIES = ("none", "mirrored", "workers")


class MultiWorkerModel(keras.Model):
    """A model that `fit` can train under `MultiWorkerMirroredStrategy`.

    Keras 3 does not support that strategy fully (keras-team/keras#20585). Two steps of `fit` fail
    under it, and this class replaces both; the training itself is Keras's own.
    """

    def train_step(self, data: Any) -> dict[str, Any]:
        return _as_vectors(super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        return _as_vectors(super().test_step(data))

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras reduces the first batch over the replicas to learn its shape, which this strategy
        # cannot do with a tuple. A blank batch has the same shape.
        images = np.zeros((2, *self.input.shape[1:]), np.float32)
        ones = np.ones((2, 1), np.float32)
        super()._maybe_symbolic_build(data_batch=(images, ones, ones[:, 0]))


def _as_vectors(logs: dict[str, Any]) -> dict[str, Any]:
    """Add an axis to each metric: Keras averages those of the workers along the first one."""
    return {name: ops.reshape(value, (1,)) for name, value in logs.items()}


@dataclass(frozen=True)
class Distribution:
    """The devices among which each training batch is divided.

    Attributes:
        strategy: a `tf.distribute.Strategy`, or None to train on one device.
    """

    strategy: Any = None

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which to build and compile the network."""
        return self.strategy.scope() if self.strategy else nullcontext()

    @property
    def replicas(self) -> int:
        """Number of devices that share a batch."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files; of several workers, only one does."""
        return self.strategy.extended.should_checkpoint if self.strategy else True

    @property
    def has_workers(self) -> bool:
        """Whether several processes train together."""
        return bool(self.strategy) and hasattr(self.strategy, "cluster_resolver")

    @property
    def model_class(self) -> type[keras.Model]:
        return MultiWorkerModel if self.has_workers else keras.Model

    def synchronize(self, network: keras.Model) -> None:
        """Compute the batch statistics of normalization layers over all replicas.

        Otherwise each replica normalizes only its share, and the result depends on their number.
        """
        for layer in network.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.synchronized = self.replicas > 1

    def require_agreement(self, state: str) -> None:
        """Wait for all workers and check that each passes the same `state`.

        Raises:
            ValueError: the workers differ. Without this check they would wait for each other
                forever, or train on different films.
        """
        if not self.has_workers:
            return
        import tensorflow as tf

        digest = hashlib.sha256(state.encode()).digest()
        number = tf.constant([int.from_bytes(digest[:4], "big")], tf.int64)
        if len(set(self.strategy.gather(number, axis=0).numpy().tolist())) > 1:
            raise ValueError(
                "The workers do not have the same options, films or saved state. Start the same "
                "command on each, with --data and --out on a disk that they all share."
            )


ONE_DEVICE = Distribution()


def prepare(strategy: str, *, deterministic: bool) -> Distribution:
    """Set up this process for training; call it before the first network is built.

    Args:
        strategy: `"none"`, `"mirrored"` (the GPUs of this machine) or `"workers"` (the machines
            that the environment variable `TF_CONFIG` names).
        deterministic: whether the same run gives bit-identical weights, at some cost in speed.
            Remains in effect until the process ends.

    Raises:
        ValueError: the strategy is unknown, or it needs another Keras backend.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"Unknown strategy {strategy!r}. Known: {', '.join(STRATEGIES)}.")
    if strategy == "none" and not deterministic:
        return ONE_DEVICE
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "A strategy and determinism need Keras on TensorFlow. "
            f"Received: {keras.backend.backend()}."
        )
    import tensorflow as tf

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if strategy == "mirrored":
        return Distribution(tf.distribute.MirroredStrategy())
    if strategy == "workers":
        return Distribution(tf.distribute.MultiWorkerMirroredStrategy())
    return ONE_DEVICE
