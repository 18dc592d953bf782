"""Batches of prepared films for `keras.Model.fit`."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.serving.preprocess import as_input
from mlcore.engine.training.augment import augment
from mlcore.engine.training.options import Options

Films = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Batch = tuple[npt.NDArray[np.float32], ...]


@dataclass(eq=False)
class TrainingSet:
    """Films ready for training.

    Attributes:
        films: (n, size, size) uint8, from `prepare_bytes`.
        labels: (n,) 0 or 1.
    """

    films: Films
    labels: Labels

    def only(self, chosen: npt.NDArray[np.bool_]) -> "TrainingSet":
        """Return the films that `chosen` (n,) marks."""
        return TrainingSet(self.films[chosen], self.labels[chosen])

    def sha256(self) -> str:
        """Return the hash of every pixel and label, in their order."""
        digest = hashlib.sha256(repr(self.films.shape).encode())
        digest.update(self.films.tobytes())
        digest.update(self.labels.astype(np.int64).tobytes())
        return digest.hexdigest()


class FilmBatches(keras.utils.PyDataset):
    """Unchanged films in their order; the last batch may be smaller."""

    def __init__(self, data: TrainingSet, batch_size: int) -> None:
        super().__init__()
        self.data, self.batch_size = data, batch_size

    def __len__(self) -> int:
        return -(-len(self.data.films) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return as_input(self.data.films[part]), _as_targets(self.data.labels[part])


class AugmentedBatches(keras.utils.PyDataset):
    """Shuffled and augmented films in full batches, with class weights as sample weights.

    A batch depends on the seed, the epoch and its index alone, not on which batches were made
    before it or on the number of threads. So a resumed run sees the same batches as an
    uninterrupted one.

    Args:
        data: the training films. Those that do not fill a batch are left out of the epoch; fewer
            than one batch make one.
        options: batch size, augmentation, class balance and seed.

    Attributes:
        epoch: the epoch to make batches for, from 1. The training loop sets it: `fit` calls
            `on_epoch_end` before the first epoch too, so those calls must not be counted.
        made: start and end of the preparation of each batch of the epoch, in seconds of
            `time.perf_counter`.
    """

    def __init__(self, data: TrainingSet, options: Options) -> None:
        super().__init__()
        self.data, self.options = data, options
        self.epoch = 1
        self.made: dict[int, tuple[float, float]] = {}
        counts = np.bincount(data.labels, minlength=2)
        weights = counts.sum() / (2 * counts) if options.balance else np.ones(2)
        self.class_weights = weights.astype(np.float32)
        # Threads for the films of one batch, not the `workers` of PyDataset for several batches:
        # under a strategy `fit` starts to read an epoch and then starts again, and Keras's queue
        # would hand out the batches left over from the first start.
        self._threads = ThreadPoolExecutor(2)

    def __len__(self) -> int:
        return max(1, len(self.data.films) // self.options.batch_size)

    def __getitem__(self, index: int) -> Batch:
        epoch, started, size = self.epoch, time.perf_counter(), self.options.batch_size
        order = np.random.default_rng([self.options.seed, epoch]).permutation(len(self.data.films))
        chosen = order[index * size : (index + 1) * size]
        films = list(self._threads.map(lambda i: self._augmented(epoch, int(i)), chosen))
        labels = self.data.labels[chosen]
        batch = as_input(np.stack(films)), _as_targets(labels), self.class_weights[labels]
        self.made[index] = started, time.perf_counter()
        return batch

    def _augmented(self, epoch: int, place: int) -> Films:
        films = self.data.films
        rng = np.random.default_rng([self.options.seed, epoch, place])
        donor = films[rng.integers(len(films))]
        return augment(films[place], donor=donor, rng=rng, spec=self.options.augmentation)


def _as_targets(labels: Labels) -> npt.NDArray[Any]:
    return labels.astype(np.float32)[:, np.newaxis]
