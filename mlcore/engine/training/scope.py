"""OOD gate: Mahalanobis distance combined with outlier exposure.

The Mahalanobis distance of the network's features to those of the training films detects unexpected
images. A small OOD classifier detects images that are known to be out of distribution and similar:
adults, rotated films, shuffled films, other images. It is trained on synthetic images and, if
available, on films of adults (outlier exposure, Hendrycks et al. 2019).

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

# Fraction of validation films that each detector may flag.
DISTANCE_RATE, CLASSIFIER_RATE = 0.005, 0.017
# The same of films of other origin, which differ more from the training films.
MORE_RATE = 0.07
THRESHOLD = 1.0
METHOD = (
    "the larger of two scores: Mahalanobis distance (Ledoit-Wolf covariance) of features pooled at "
    "several depths to the nearer class mean of the training films, and a small OOD classifier "
    "trained on films outside the population and on synthetic images"
)
HOW = (
    f"quantile {1 - DISTANCE_RATE} of the distance and quantile {1 - CLASSIFIER_RATE} of the OOD "
    "classifier's log-odds, on films that neither was trained on"
)
MORE = (
    f"; raised until at most {MORE_RATE} of the external films exceed the classifier's, and "
    f"{DISTANCE_RATE} the distance's"
)
EPOCHS, BATCH = 16, 32
# Of the classifiers that are trained without one source, only to measure that source.
EPOCHS_LEFT_OUT = 12
# Resolution that anatomy and orientation need.
SIDE = 112
# Fraction of the OOD classifier's outliers that are films of the given sources, and then rotated
# and shuffled films; the rest are synthetic images.
SHARE, ROTATED_SHARE, SHUFFLED_SHARE = 0.65, 0.12, 0.09


@dataclass(frozen=True, eq=False)
class Distance:
    """Mahalanobis distance of a film's pooled features to the training films.

    The distance to the nearer class mean with a shared covariance (Lee et al. 2018), divided by the
    square root of the number of features: about 1 for films like the training films. The covariance
    is shrunk (Ledoit and Wolf 2004).

    Attributes:
        means: (classes, d) class means.
        whitening: (d, d) matrix; `(x - mean) @ whitening` has unit covariance.
    """

    means: Descriptors
    whitening: Descriptors

    @classmethod
    def fit(cls, descriptors: Descriptors, labels: npt.NDArray[Any]) -> "Distance":
        """Fit to (n, d) descriptors of training films with labels (n,) 0 or 1."""
        from sklearn.covariance import ledoit_wolf

        x = np.asarray(descriptors, np.float64)
        means = np.stack([x[labels == value].mean(axis=0) for value in (0, 1)])
        spread = x - means[labels]
        # Features differ by orders of magnitude; shrinkage needs them on one scale.
        scale = spread.std(axis=0) + 1e-6
        covariance, _ = ledoit_wolf(spread / scale, assume_centered=True)
        values, vectors = np.linalg.eigh(covariance)
        whitening = vectors / np.sqrt(np.maximum(values, 1e-8)) / scale[:, np.newaxis]
        return cls(means=means.astype(np.float32), whitening=whitening.astype(np.float32))

    def score(self, descriptors: Descriptors) -> npt.NDArray[Any]:
        """Return the (n,) distances of (n, d) descriptors."""
        x = np.asarray(descriptors, np.float64)
        distances = [
            np.linalg.norm((x - mean) @ self.whitening.astype(np.float64), axis=1)
            for mean in self.means
        ]
        return np.min(distances, axis=0) / np.sqrt(x.shape[1])


@dataclass(frozen=True, eq=False)
class Judged:
    """Films of the population that no detector was trained on.

    Attributes:
        descriptors: (n, d) descriptors of the first ensemble member.
        films: (n, size, size) uint8, the same films, prepared for the classifier.
    """

    descriptors: Descriptors
    films: Films


@dataclass(frozen=True, eq=False)
class Gate:
    """Both detectors on one scale: a film with a score above THRESHOLD is out of scope.

    Attributes:
        distance: the Mahalanobis distance.
        classifier: the OOD classifier; returns log-odds of being out of distribution.
        distance_limit: distance at which the score is 1.
        log_odds_limit: log-odds at which the score is 1.
        log_odds_scale: log-odds per unit of the score.
    """

    distance: Distance
    classifier: keras.Model
    distance_limit: float
    log_odds_limit: float
    log_odds_scale: float

    @classmethod
    def fit(
        cls, distance: Distance, classifier: keras.Model, validation: Judged, *more: Judged
    ) -> "Gate":
        """Fit both limits on films that neither detector was trained on.

        Args:
            distance: the fitted distance.
            classifier: the trained OOD classifier.
            validation: validation films; they also decide the scale of the log-odds.
            *more: films of other origin. The limits are raised until at most `MORE_RATE` of each
                set exceed them.
        """
        odds = ood_log_odds(classifier, validation.films)
        limits = [np.quantile(odds, 1 - CLASSIFIER_RATE)]
        distances = [np.quantile(distance.score(validation.descriptors), 1 - DISTANCE_RATE)]
        for films in more:
            limits.append(np.quantile(ood_log_odds(classifier, films.films), 1 - MORE_RATE))
            distances.append(np.quantile(distance.score(films.descriptors), 1 - DISTANCE_RATE))
        limit = max(limits)
        return cls(
            distance=distance,
            classifier=classifier,
            distance_limit=float(max(distances)),
            log_odds_limit=float(limit),
            log_odds_scale=float(max(limit - np.median(odds), 1e-3)),
        )

    def distance_in_graph(self, descriptor: Any) -> Any:
        """Return the score of the distance as a (b, 1) tensor, for descriptor (b, d)."""
        measure = DistanceScore(classes=len(self.distance.means), name="scope_distance")
        far = layers.Rescaling(1 / self.distance_limit, name="scope_far")(measure(descriptor))
        measure.set_weights([self.distance.means, self.distance.whitening])
        return far

    def classifier_in_graph(self, log_odds: Any) -> Any:
        """Return the score of the classifier's (b, 1) log-odds as a (b, 1) tensor."""
        return layers.Rescaling(
            1 / self.log_odds_scale,
            offset=1 - self.log_odds_limit / self.log_odds_scale,
            name="scope_outside",
        )(log_odds)


@keras.saving.register_keras_serializable("xraysite")
class DistanceScore(layers.Layer):
    """`Distance.score` as a layer: (b, d) -> (b, 1)."""

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


def ood_classifier(size: int, finder: keras.Model | None = None) -> keras.Model:
    """Return an untrained OOD classifier: (b, size, size, 1) -> (b, 1) log-odds.

    It works at about `SIDE` pixels, which anatomy and orientation need. With a network that finds
    lungs, it sees where they are too: their shape and size differ between ages.
    """
    film = keras.Input((size, size, 1), name="film")
    factor = 2 if size >= 2 * SIDE else 1
    x = layers.AveragePooling2D(factor, name="reduce")(film)
    if finder is not None:
        finder.trainable = False
        found = layers.Activation("sigmoid", name="lungs_found")(finder(film, training=False))
        if factor == 1:
            found = layers.UpSampling2D(2, name="lungs_enlarged")(found)
        x = layers.Concatenate(name="film_and_lungs")([x, found])
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


def ood_log_odds(network: keras.Model, films: Films, *, batch: int = 64) -> npt.NDArray[Any]:
    """Return the (n,) log-odds of the OOD classifier for (n, size, size) uint8 films."""
    parts = [
        np.asarray(network.predict_on_batch(as_input(films[start : start + batch])))[:, 0]
        for start in range(0, len(films), batch)
    ]
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)


@dataclass(frozen=True, eq=False)
class OodTrainingData:
    """Training data of the OOD classifier.

    Attributes:
        films: (n, size, size) uint8, preprocessed: the model's training films, and corrupted ones.
        outliers: (m, size, size) uint8, preprocessed: films outside the population, and corrupted
            ones; m may be 0.
        sources: (m,) the source of each; every source is drawn as often.
        spec: the preprocessing, also applied to synthetic images.
        augmentation: augmentation of films, so that noise, frames or letters are not decisive.
        seed: seed of weights, order and synthetic images.
    """

    films: Films
    outliers: Films
    sources: npt.NDArray[np.int64]
    spec: Preprocessing
    augmentation: Augmentation
    seed: int

    def batch(self, epoch: int, step: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return images (2 BATCH, size, size, 1) and labels (2 BATCH, 1), half of them outliers."""
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
        kind = rng.random() * (1 if len(self.outliers) else 1 - SHARE)
        if kind < ROTATED_SHARE:
            return self._changed(outliers.rotated(self._film(rng), rng), rng)
        if kind < ROTATED_SHARE + SHUFFLED_SHARE:
            return outliers.shuffled(self._film(rng), self._film(rng), rng)
        if kind > 1 - SHARE:
            source = rng.choice(np.unique(self.sources))
            place = rng.choice(np.flatnonzero(self.sources == source))
            return self._changed(self.outliers[place], rng)
        size = self.films.shape[1]
        spec = replace(self.spec, squash=size)
        return prepare_bytes(outliers.synthetic(rng, size=size), size=size, spec=spec)


class OodBatches(keras.utils.PyDataset):
    """The batches of several consecutive epochs, prepared ahead by two threads."""

    def __init__(self, data: OodTrainingData, *, steps: int, epochs: int) -> None:
        super().__init__(workers=2, max_queue_size=4)
        self.data, self.steps, self.epochs = data, steps, epochs

    def __len__(self) -> int:
        return self.steps * self.epochs

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        return self.data.batch(*divmod(index, self.steps))


def train_ood_classifier(
    data: OodTrainingData, *, epochs: int = EPOCHS, finder: keras.Model | None = None
) -> keras.Model:
    """Train an OOD classifier on `data` for a number of epochs; see `ood_classifier`."""
    keras.utils.set_random_seed(data.seed)
    network = ood_classifier(data.films.shape[1], finder)
    batches = OodBatches(data, steps=max(4, len(data.films) // (2 * BATCH)), epochs=epochs)
    network.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(2e-3, len(batches), alpha=0.01),
            weight_decay=0.02,
        ),
        loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.02),
    )
    # Otherwise `fit` builds it in the graph, which TensorFlow then traces a second time.
    network.optimizer.build(network.trainable_variables)
    network.fit(batches, shuffle=False, verbose=0)
    return network
