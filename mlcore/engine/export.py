"""From a trained network to the one that is served: calibration, scope gate and LiteRT file.

Importing this module imports Keras, and TensorFlow with it.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mlcore.engine.calibration import Calibration

Descriptors = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ScopeGate:
    """How far a film's pooled features lie from those of the training films.

    The score is the Mahalanobis distance to the nearer class mean, under one covariance of both
    (Lee et al. 2018), over the square root of the number of features: about 1 for a film like
    those trained on. The covariance is shrunk after Ledoit and Wolf (2004).

    Attributes:
        means: (classes, d).
        whitening: (d, d); `(x - mean) @ whitening` has unit covariance.
    """

    means: Descriptors
    whitening: Descriptors

    @classmethod
    def fit(cls, descriptors: Descriptors, labels: npt.NDArray[Any]) -> "ScopeGate":
        """Fits the gate to (n, d) descriptors of training films, labels (n,) 0 or 1."""
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


@keras.saving.register_keras_serializable("xraysite")
class ScopeScore(layers.Layer):
    """`ScopeGate.score` inside the graph: (b, d) -> (b, 1)."""

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


def serving_network(
    model: keras.Model, *, calibration: Calibration, gate: ScopeGate
) -> keras.Model:
    """Returns film -> probability (b, 1), activation_map (b, h, w, 1), scope_score (b, 1)."""
    score = ScopeScore(classes=len(gate.means), name="scope_score")
    outputs = {
        "probability": layers.Activation("sigmoid", name="probability")(
            layers.Rescaling(
                1 / calibration.temperature, offset=calibration.bias, name="calibration"
            )(model.output["logit"])
        ),
        "activation_map": model.output["evidence"],
        "scope_score": score(model.output["descriptor"]),
    }
    score.set_weights([gate.means, gate.whitening])
    return keras.Model(model.input, outputs, name="serving")


def to_litert(network: keras.Model) -> bytes:
    """Returns the `.tflite` file of a serving network, for one film at a time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        network.export(path, format="litert", verbose=False)
        return path.read_bytes()


def to_keras_file(model: keras.Model) -> bytes:
    """Returns the `.keras` file of a trained network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()
