"""Batches of prepared films for `keras.Model.fit`."""

import hashlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.serving.preprocess import as_input
from mlcore.engine.training import groups
from mlcore.engine.training.options import Options
from mlcore.engine.training.sources import PreparedFilms, Source

Films = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Batch = tuple[npt.NDArray[np.float32], ...]


@dataclass(eq=False)
class TrainingSet:
    """Films ready for training.

    Attributes:
        films: (n, size, size) uint8, prepared for the network as in serving.
        labels: (n,) 0 or 1.
        source: the films to augment.
        shares: (n,) how often each film is drawn, relative to the others; None draws each once per
            epoch.
    """

    films: Films
    labels: Labels
    source: Source
    shares: npt.NDArray[np.float64] | None = None

    @classmethod
    def of_whole(
        cls, films: Films, labels: Labels, shares: npt.NDArray[np.float64] | None = None
    ) -> "TrainingSet":
        """Return whole films, augmented after preprocessing."""
        return cls(films, labels, PreparedFilms(films), shares)

    def only(self, chosen: npt.NDArray[np.bool_]) -> "TrainingSet":
        """Return the films that `chosen` (n,) marks."""
        shares = None if self.shares is None else self.shares[chosen]
        return TrainingSet(
            self.films[chosen], self.labels[chosen], self.source.only(chosen), shares
        )

    def sha256(self) -> str:
        """Return the hash of everything that decides the batches."""
        digest = hashlib.sha256(self.source.sha256().encode())
        for array in (self.films, self.labels.astype(np.int64), self.shares):
            digest.update(b"" if array is None else array.tobytes())
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
        is_balanced = options.balance and data.shares is None
        weights = counts.sum() / (2 * counts) if is_balanced else np.ones(2)
        self.class_weights = weights.astype(np.float32)
        # Threads for the films of one batch, not the `workers` of PyDataset for several batches:
        # under a strategy `fit` starts to read an epoch and then starts again, and Keras's queue
        # would hand out the batches left over from the first start.
        self._threads = ThreadPoolExecutor(2)
        # The next batch is made while the network learns from this one.
        self._ahead = ThreadPoolExecutor(1)
        self._pending: dict[tuple[int, int], Future[Batch]] = {}

    def close(self) -> None:
        """End the threads; a batch that is being made ahead is dropped."""
        self._pending.clear()
        for pool in (self._ahead, self._threads):
            pool.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        return max(1, len(self.data.films) // self.options.batch_size)

    def __getitem__(self, index: int) -> Batch:
        epoch, pending = self.epoch, self._pending
        batch = pending.pop((epoch, index), None) or self._started(epoch, index)
        pending.clear()
        if index + 1 < len(self):
            pending[epoch, index + 1] = self._started(epoch, index + 1)
        return batch.result()

    def _started(self, epoch: int, index: int) -> Future[Batch]:
        return self._ahead.submit(self._batch, epoch, index)

    def _batch(self, epoch: int, index: int) -> Batch:
        started, size = time.perf_counter(), self.options.batch_size
        places = range(index * size, min((index + 1) * size, len(self.data.films)))
        rng = np.random.default_rng([self.options.seed, epoch])
        order = groups.order(len(self.data.films), self.data.shares, rng)
        chosen = order[places.start : places.stop]
        films = list(self._threads.map(lambda i, at: self._augmented(epoch, i, at), chosen, places))
        labels = self.data.labels[chosen]
        batch = as_input(np.stack(films)), _as_targets(labels), self.class_weights[labels]
        self.made[index] = started, time.perf_counter()
        return batch

    def _augmented(self, epoch: int, film: int, place: int) -> Films:
        # A film that is drawn twice in an epoch is augmented in two ways.
        key = film if self.data.shares is None else place
        rng = np.random.default_rng([self.options.seed, epoch, key])
        return self.data.source.augmented(film, rng, self.options.augmentation)


def _as_targets(labels: Labels) -> npt.NDArray[Any]:
    return labels.astype(np.float32)[:, np.newaxis]
