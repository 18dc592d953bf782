"""How TensorFlow computes in this process: on which devices, and whether to the bit."""

from typing import Any

import keras


def prepare(strategy: str, *, deterministic: bool) -> None:
    """Sets the process up before the first network is built; it holds until the process ends.

    Args:
        strategy: "none"; "mirrored", each batch parted among the GPUs of this machine; or
            "workers", parted among the machines that TF_CONFIG names.
        deterministic: whether the same run gives the same weights to the bit, at some speed.

    Raises:
        ValueError: an unknown strategy, or one that needs another Keras backend.
    """
    if strategy not in ("none", "mirrored", "workers"):
        raise ValueError(f"Unknown strategy {strategy!r}. Known: none, mirrored, workers.")
    if strategy == "none" and not deterministic:
        return
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "A strategy and determinism need Keras on TensorFlow. "
            f"Received: {keras.backend.backend()}."
        )
    import tensorflow as tf

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if strategy == "mirrored":
        tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy())
    elif strategy == "workers":
        tf.distribute.experimental_set_strategy(tf.distribute.MultiWorkerMirroredStrategy())


def parted(*arrays: Any) -> tuple[Any, ...]:
    """Parts each array's first axis evenly among the replicas of the strategy in force.

    Keras hands every replica the whole of what `train_on_batch` gets; a batch must be parted
    first. Without a strategy the arrays come back as they are. What does not divide evenly is
    left out of the step.
    """
    if keras.backend.backend() != "tensorflow":
        return arrays
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return arrays

    def part(array: Any) -> Any:
        share = len(array) // replicas
        return strategy.experimental_distribute_values_from_function(
            lambda context: array[
                context.replica_id_in_sync_group * share : (context.replica_id_in_sync_group + 1)
                * share
            ]
        )

    return tuple(part(array) for array in arrays)
