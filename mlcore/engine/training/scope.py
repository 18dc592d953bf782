"""Is a film one of those the model was validated on? Two witnesses, one score.

A distance answers for what nobody thought of: how far the reading network's own features lie
from those of its training films. A small network answers for what is known to be outside, and
close: adults, films on their side, pieces of films, pictures that are none. It learns from
pictures made by rule and, where they are given, from films of adults (Hendrycks et al. 2019).

Importing this module imports Keras.
"""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mlcore.engine.serving.preprocess import Preprocessing, as_input, prepare_bytes
from mlcore.engine.training import outliers
from mlcore.engine.training.augment import Augmentation, augment

Descriptors = npt.NDArray[Any]
Films = npt.NDArray[np.uint8]

# Share of validation films that either witness may call outside.
DISTANCE_SHARE, NETWORK_SHARE = 0.005, 0.017
THRESHOLD = 1.0
METHOD = (
    "the larger of two: distance of features pooled at several depths to the nearer class mean of "
    "the training films (Mahalanobis, Ledoit-Wolf), and a small network that learnt films outside "
    "the population and pictures made by rule"
)
HOW = (
    f"quantiles {1 - DISTANCE_SHARE} of the distance and {1 - NETWORK_SHARE} of the network's "
    "log-odds, on films that neither learnt from"
)
EPOCHS, BATCH = 12, 32


@dataclass(frozen=True, eq=False)
class Distance:
    """How far a film's pooled features lie from those of the training films.

    The Mahalanobis distance to the nearer class mean, under one covariance of both (Lee et al.
    2018), over the square root of the number of features: about 1 for a film like those trained
    on. The covariance is shrunk after Ledoit and Wolf (2004).

    Attributes:
        means: (classes, d).
        whitening: (d, d); `(x - mean) @ whitening` has unit covariance.
    """

    means: Descriptors
    whitening: Descriptors

    @classmethod
    def fit(cls, descriptors: Descriptors, labels: npt.NDArray[Any]) -> "Distance":
        """Fits to (n, d) descriptors of training films, labels (n,) 0 or 1."""
        from sklearn.covariance import ledoit_wolf

        x = np.asarray(descriptors, np.float64)
        means = np.stack([x[labels == value].mean(axis=0) for value in (0, 1)])
        spread = x - means[labels]
        # Features differ by orders of magnitude; shrinkage wants them on one scale.
        scale = spread.std(axis=0) + 1e-6
        covariance, _ = ledoit_wolf(spread / scale, assume_centered=True)
        values, vectors = np.linalg.eigh(covariance)
        whitening = vectors / np.sqrt(np.maximum(values, 1e-8)) / scale[:, np.newaxis]
        return cls(means=means.astype(np.float32), whitening=whitening.astype(np.float32))

    def score(self, descriptors: Descriptors) -> npt.NDArray[Any]:
        """Scores (n, d) descriptors; returns (n,)."""
        x = np.asarray(descriptors, np.float64)
        distances = [
            np.linalg.norm((x - mean) @ self.whitening.astype(np.float64), axis=1)
            for mean in self.means
        ]
        return np.min(distances, axis=0) / np.sqrt(x.shape[1])


@dataclass(frozen=True, eq=False)
class Gate:
    """Both witnesses on one scale: above THRESHOLD, one of them calls the film outside.

    Attributes:
        distance: the first witness.
        network: the second: film -> log-odds of being outside.
        distance_limit: distance at which the score is 1.
        outside_limit: log-odds at which the score is 1.
        outside_scale: log-odds by which the score rises by 1.
    """

    distance: Distance
    network: keras.Model
    distance_limit: float
    outside_limit: float
    outside_scale: float

    @classmethod
    def fit(
        cls, distance: Distance, network: keras.Model, descriptors: Descriptors, films: Films
    ) -> "Gate":
        """Sets both limits on validation films that neither witness learnt from.

        Args:
            descriptors: (n, d) of those films.
            films: (n, size, size) uint8, prepared.
        """
        outside = outside_log_odds(network, films)
        middle, limit = np.quantile(outside, [0.5, 1 - NETWORK_SHARE])
        return cls(
            distance=distance,
            network=network,
            distance_limit=float(np.quantile(distance.score(descriptors), 1 - DISTANCE_SHARE)),
            outside_limit=float(limit),
            outside_scale=float(max(limit - middle, 1e-3)),
        )

    def score(self, descriptors: Descriptors, films: Films) -> npt.NDArray[Any]:
        """Scores films by their (n, d) descriptors and (n, size, size) pixels; returns (n,)."""
        outside = outside_log_odds(self.network, films)
        return np.maximum(
            self.distance.score(descriptors) / self.distance_limit,
            1 + (outside - self.outside_limit) / self.outside_scale,
        )

    def in_graph(self, film: Any, descriptor: Any) -> Any:
        """`score` as tensors: film (b, size, size, 1), descriptor (b, d) -> (b, 1)."""
        measure = DistanceScore(classes=len(self.distance.means), name="scope_distance")
        far = layers.Rescaling(1 / self.distance_limit, name="scope_far")(measure(descriptor))
        measure.set_weights([self.distance.means, self.distance.whitening])
        outside = layers.Rescaling(
            1 / self.outside_scale,
            offset=1 - self.outside_limit / self.outside_scale,
            name="scope_outside",
        )(self.network(film))
        return layers.Maximum(name="scope_score")([far, outside])


@keras.saving.register_keras_serializable("xraysite")
class DistanceScore(layers.Layer):
    """`Distance.score` inside the graph: (b, d) -> (b, 1)."""

    def __init__(self, classes: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes

    def build(self, input_shape: Any) -> None:
        d = input_shape[-1]
        self.means = self.add_weight(shape=(self.classes, d), trainable=False, name="means")
        self.whitening = self.add_weight(shape=(d, d), trainable=False, name="whitening")
        self.features = d

    def call(self, inputs: Any) -> Any:
        squares = [
            ops.sum(
                ops.square(ops.matmul(inputs - self.means[c], self.whitening)),
                axis=-1,
                keepdims=True,
            )
            for c in range(self.classes)
        ]
        nearest = squares[0]
        for square in squares[1:]:
            nearest = ops.minimum(nearest, square)
        return ops.sqrt(nearest / self.features)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"classes": self.classes}


def outside_network(size: int) -> keras.Model:
    """Returns a fresh second witness: (b, size, size, 1) -> (b, 1) log-odds of being outside.

    It looks at half the resolution: anatomy and orientation are large.
    """
    film = keras.Input((size, size, 1), name="film")
    x = layers.AveragePooling2D(2, name="halve")(film)
    for number, (width, stride) in enumerate(
        ((16, 2), (32, 2), (32, 1), (64, 2), (64, 1), (96, 2)), start=1
    ):
        x = layers.Conv2D(
            width, 3, strides=stride, padding="same", use_bias=False, name=f"conv{number}"
        )(x)
        x = layers.ReLU(name=f"relu{number}")(
            layers.BatchNormalization(momentum=0.95, name=f"norm{number}")(x)
        )
    pooled = layers.Concatenate(name="pooled")(
        [layers.GlobalAveragePooling2D(name="mean")(x), layers.GlobalMaxPooling2D(name="most")(x)]
    )
    return keras.Model(film, layers.Dense(1, name="outside")(pooled), name="scope_network")


def outside_log_odds(network: keras.Model, films: Films, *, batch: int = 64) -> npt.NDArray[Any]:
    """Runs the second witness over (n, size, size) uint8 films; returns (n,)."""
    parts = [
        np.asarray(network.predict_on_batch(as_input(films[start : start + batch])))[:, 0]
        for start in range(0, len(films), batch)
    ]
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)


@dataclass(frozen=True, eq=False)
class OutsideTraining:
    """What the second witness learns from.

    Attributes:
        films: (n, size, size) uint8, prepared: the films the model is trained on.
        adults: (m, size, size) uint8, prepared: films outside the population; m may be 0.
        spec: how a film is prepared, which pictures made by rule must be too.
        augmentation: how films are changed, so that grain, frame or letters decide nothing.
        seed: of weights, order and pictures.
    """

    films: Films
    adults: Films
    spec: Preprocessing
    augmentation: Augmentation
    seed: int

    def batch(self, epoch: int, step: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Returns (2 BATCH, size, size, 1) and (2 BATCH, 1): half of them outside."""
        rng = np.random.default_rng([self.seed, 77, epoch, step])
        inside = [self._changed(self._film(rng), rng) for _ in range(BATCH)]
        outside = [self._outlier(rng) for _ in range(BATCH)]
        labels = np.repeat([0.0, 1.0], BATCH).astype(np.float32)[:, np.newaxis]
        return as_input(np.stack(inside + outside)), labels

    def _film(self, rng: np.random.Generator) -> Films:
        return self.films[rng.integers(len(self.films))]

    def _changed(self, film: Films, rng: np.random.Generator) -> Films:
        return augment(film, donor=self._film(rng), rng=rng, spec=self.augmentation)

    def _outlier(self, rng: np.random.Generator) -> Films:
        kind = rng.random()
        if len(self.adults) and kind < 0.4:
            return self._changed(self.adults[rng.integers(len(self.adults))], rng)
        if kind < 0.6:
            return self._changed(outliers.turned(self._film(rng), rng), rng)
        if kind < 0.75:
            return outliers.broken(self._film(rng), self._film(rng), rng)
        size = self.films.shape[1]
        spec = replace(self.spec, squash=size)
        return prepare_bytes(outliers.made(rng, size=size), size=size, spec=spec)


class OutsideBatches(keras.utils.PyDataset):
    """The batches of several epochs in a row, which two threads make ahead."""

    def __init__(self, data: OutsideTraining, *, steps: int, epochs: int) -> None:
        super().__init__(workers=2, max_queue_size=4)
        self.data, self.steps, self.epochs = data, steps, epochs

    def __len__(self) -> int:
        return self.steps * self.epochs

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        return self.data.batch(*divmod(index, self.steps))


def train_outside_network(data: OutsideTraining, *, epochs: int = EPOCHS) -> keras.Model:
    """Train a second witness."""
    keras.utils.set_random_seed(data.seed)
    network = outside_network(data.films.shape[1])
    batches = OutsideBatches(data, steps=max(4, len(data.films) // (2 * BATCH)), epochs=epochs)
    network.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(2e-3, len(batches), alpha=0.01),
            weight_decay=0.02,
        ),
        loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.02),
    )
    network.fit(batches, shuffle=False, verbose=0)
    return network
