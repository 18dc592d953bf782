"""Batch normalisation of averaged weights. Importing this module imports Keras."""

import keras
import numpy as np

from mlcore.engine.serving.preprocess import as_input
from mlcore.engine.training import groups
from mlcore.engine.training.batches import TrainingSet

BATCH_SIZE = 128
MOST_BATCHES = 24


def refit(
    network: keras.Model, data: TrainingSet, *, seed: int, most_batches: int = MOST_BATCHES
) -> None:
    """Recompute a network's means and variances on films without augmentation.

    Those collected in training belong to other weights than their moving average, and to augmented
    films. Left as they are, they shift the log-odds of each network by another amount
    (Izmailov et al. 2018, section 3.2).

    Args:
        network: the network to change.
        data: the training films, drawn as often as in training.
        seed: seed of the choice of films.
        most_batches: number of batches of `BATCH_SIZE` films, if there are as many.
    """
    layers = [
        layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    rng = np.random.default_rng([seed, 31])
    order = groups.order(len(data.films), data.shares, rng)[: most_batches * BATCH_SIZE]
    momenta = [layer.momentum for layer in layers]
    for start in range(0, len(order), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        for layer in layers:
            # So that the result is the mean over all films.
            layer.momentum = start / (start + len(batch))
        network(as_input(data.films[batch]), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
